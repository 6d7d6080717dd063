"""Starting points by the size of the base: what fits the machine, and a rate that learns.

A preset is a part of a spec. What the spec says itself comes before it:

    spec = parse_spec(with_preset("8b-gpu24", {"method": "dpo", "base": {"model": ...}, ...}))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.engine.errors import SpecError
from training.engine.spec import Method

Values = dict[str, Any]


@dataclass(frozen=True)
class Preset:
    """title: for a person to choose by. why: a sentence. rate: factor on the rate of the method.

    weights_b: the size of the base it is meant for at most, in billions of weights.
    """

    title: str
    why: str
    weights_b: float
    precision: str
    optimizer: str
    tokens_per_pack: int
    max_tokens: int
    gradient_checkpointing: bool = False
    groups_per_step: int = 16
    rate: float = 1.0

    def fragment(self, method: Method) -> Values:
        """The part of a spec that this preset decides, for a method."""
        facts = method.facts
        values: Values = {
            "base": {
                "precision": self.precision,
                "gradient_checkpointing": self.gradient_checkpointing,
            },
            "lora": {"r": 16, "targets": "all-linear"},
            "data": {
                "max_prompt_tokens": self.max_tokens,
                "max_completion_tokens": self.max_tokens,
            },
            "optimizer": {"name": self.optimizer, "lr": facts.rate * self.rate},
            "training": {
                "epochs": facts.epochs,
                "groups_per_step": self.groups_per_step,
                "tokens_per_pack": self.tokens_per_pack,
            },
        }
        own = facts.preset(self.max_tokens)
        return {**values, facts.section: own} if facts.section and own else values


PRESETS = {
    "135m-cpu": Preset(
        title="135M on a processor",
        why="fp32 is fast and exact on every processor, and a small model has room for it; small "
        "steps show after minutes whether it learns.",
        weights_b=0.4,
        precision="fp32",
        optimizer="adamw",
        tokens_per_pack=2048,
        max_tokens=512,
        groups_per_step=8,
    ),
    "1b-gpu": Preset(
        title="1B to 2B on a GPU with 12 GB",
        why="bf16 needs 2 bytes a weight, and without gradient checkpointing a step is a third "
        "faster.",
        weights_b=2,
        precision="bf16",
        optimizer="adamw",
        tokens_per_pack=4096,
        max_tokens=1024,
    ),
    "8b-gpu24": Preset(
        title="7B or 8B on a GPU with 24 GB",
        why="QLoRA: NF4 leaves 5 GB of 16, gradient checkpointing keeps long rankings small, and "
        "the paged optimizer bears their peaks. Spread over several GPUs (FSDP) it wants adamw.",
        weights_b=9,
        precision="nf4",
        optimizer="paged_adamw_8bit",
        tokens_per_pack=4096,
        max_tokens=1024,
        gradient_checkpointing=True,
    ),
    "13b-gpu24": Preset(
        title="13B on a GPU with 24 GB",
        why="NF4 leaves 8 GB of 26; smaller packs keep the wider layers inside the card. "
        "Spread over several GPUs (FSDP) it wants the optimizer adamw.",
        weights_b=15,
        precision="nf4",
        optimizer="paged_adamw_8bit",
        tokens_per_pack=3072,
        max_tokens=1024,
        gradient_checkpointing=True,
    ),
    "70b-gpu80": Preset(
        title="65B or 70B on a GPU with 48 to 80 GB",
        why="NF4 leaves 38 GB of 140; half the rate, as large models want (QLoRA, table 9), and "
        "small packs. Spread over several GPUs (FSDP) it wants the optimizer adamw.",
        weights_b=75,
        precision="nf4",
        optimizer="paged_adamw_8bit",
        tokens_per_pack=2048,
        max_tokens=512,
        gradient_checkpointing=True,
        rate=0.5,
    ),
}


def with_preset(name: str, values: Mapping[str, Any]) -> Values:
    """A spec as decoded JSON, completed by a preset; what `values` says stays as it is.

    Raises SpecError for a preset or a method that does not exist.
    """
    if name not in PRESETS:
        raise SpecError(f'There is no preset "{name}"; there are {", ".join(PRESETS)}.')
    if values.get("method") not in list(Method):
        raise SpecError(f"method: a preset needs one of {', '.join(Method)}.")
    fragment = PRESETS[name].fragment(Method(values["method"]))
    training = values.get("training")
    if isinstance(training, Mapping) and "max_steps" in training:
        del fragment["training"]["epochs"]  # one of the two
    return _merged(fragment, values)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    """Objects are merged, everything else is taken from `above`."""
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(inner, value)
        else:
            merged[key] = value
    return merged
