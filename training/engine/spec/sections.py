"""What every method has: base, adapter, data, optimizer, training."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from training.engine.spec.fields import STEPS, TOKENS, Flag, Integer, Name, Number, Section

_SETTING = re.compile(r"[A-Za-z_]\w*")
# What templates are told by others.
_SAID_ELSEWHERE = (
    "messages",
    "tools",
    "documents",
    "add_generation_prompt",
    "continue_final_message",
    "chat_template",
    "tokenize",
)
# Parts of a module's name that say it is an embedding or the language-model head.
_NOT_ADAPTED = ("embed", "lm_head", "wte", "wpe")


class Precision(StrEnum):
    """How the weights of the base are held."""

    FP32 = "fp32"
    BF16 = "bf16"
    INT8 = "int8"
    NF4 = "nf4"


class Base(Section):
    """The model that is trained on; its own weights never change."""

    model: Name = Field(description="A model folder, a .gguf file, or a name on the hub.")
    revision: Name | None = Field(
        default=None, description="Branch, tag or commit on the hub; absent, the newest."
    )
    precision: Precision = Field(
        default=Precision.BF16,
        description="How the base's weights are held: fp32 (4 bytes a weight), bf16 (2), int8 (1), "
        "nf4 (about half a byte: QLoRA with double quantization). int8 and nf4 compute in bf16, on "
        "processors without AVX-512 in fp32.",
    )
    gradient_checkpointing: Flag = Field(
        default=False,
        description="Compute activations again in the backward pass: much less memory, about a "
        "third more time.",
    )
    attention: Literal["auto", "packed", "unpacked"] = Field(
        default="auto",
        description="packed: the prompt of a ranking is encoded once. unpacked: once for each "
        "completion, for models that cannot take the mask. auto finds out which.",
    )
    chat_template: Name | None = Field(
        default=None,
        description="A file with the chat template (Jinja) to be used instead of the model's own; "
        "the model must be served with the same.",
    )
    chat_template_kwargs: dict[Name, JsonValue] = Field(
        default={},
        description='Settings of the chat template, as {"enable_thinking": false}; the model '
        "must be served with the same.",
    )
    trust_remote_code: Flag = Field(
        default=False,
        description="Run Python code that comes with the model; only for a source you trust.",
    )

    def __hash__(self) -> int:
        """Settings of a template are lists and objects, which have no hash of their own."""
        return hash(self.model_dump_json())

    @field_validator("chat_template_kwargs")
    @classmethod
    def _refuse_own_names(cls, values: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in values:
            if not _SETTING.fullmatch(name) or name in _SAID_ELSEWHERE:
                raise ValueError(
                    f'"{name}" is no setting of a template; settings have names as enable_thinking'
                )
        return values


def _refuse_targets(value: Any) -> Any:
    if value == "all-linear":
        return value
    named = isinstance(value, list | tuple) and all(isinstance(one, str) and one for one in value)
    if not (named and value):
        raise ValueError(
            'this is neither "all-linear" nor a list of names of modules, as ["q_proj", "v_proj"]'
        )
    for target in value:
        if any(part in target.lower() for part in _NOT_ADAPTED):
            raise ValueError(
                f'"{target}" is an embedding or the language-model head, which Prefloop leaves as '
                'they are; "all-linear" takes every linear layer but those'
            )
    return value


class Lora(Section):
    """The adapter that is trained (LoRA)."""

    r: Integer = Field(
        default=16, ge=1, le=1024, description="Rank: how much the adapter can learn."
    )
    alpha: Integer | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Strength: what the adapter adds is scaled by alpha / r; absent, alpha is 2r.",
    )
    dropout: Number = Field(
        default=0.0, ge=0, lt=1, description="Share of the adapter's inputs dropped in training."
    )
    targets: Annotated[
        Literal["all-linear"] | tuple[Name, ...], BeforeValidator(_refuse_targets)
    ] = Field(
        default="all-linear",
        description="The linear layers that are adapted: all of them, or those named here "
        "(q_proj, v_proj, ...). Embeddings and the language-model head never are.",
    )
    use_rslora: Flag = Field(
        default=False,
        description="Scale by alpha / √r (rank-stabilized LoRA), for a high rank.",
    )

    @property
    def scale_alpha(self) -> int:
        """alpha, or its default of 2r."""
        return 2 * self.r if self.alpha is None else self.alpha


class Parent(Section):
    """An adapter that the run builds on."""

    adapter: Name = Field(description="Its folder.")
    use: Literal["continue", "reference", "both"] = Field(
        description="continue: training goes on from it. reference: it stays frozen, and the "
        "policy is held to it. both: the policy starts from it and is held to it.",
    )


# Fields of `data` that name files, in the order in which they are read.
DATA_FILES = (
    "rankings",
    "pairs",
    "unpaired",
    "demonstrations",
    "evaluation_rankings",
    "evaluation_pairs",
    "evaluation_unpaired",
    "evaluation_demonstrations",
)


class Data(Section):
    """What is learned from, and what is only measured on.

    Paths are absolute, or relative to the run folder.
    """

    rankings: tuple[Name, ...] = Field(default=(), description="Files of rankings as exported.")
    pairs: tuple[Name, ...] = Field(
        default=(), description="Files of chosen and rejected completions (TRL, HH-RLHF)."
    )
    demonstrations: tuple[Name, ...] = Field(
        default=(), description="Files of prompts with a good completion, for SFT."
    )
    unpaired: tuple[Name, ...] = Field(
        default=(),
        description="Files of single completions with a label, true for a desirable one, for KTO.",
    )
    evaluation_rankings: tuple[Name, ...] = Field(
        default=(), description="Rankings that are never trained on."
    )
    evaluation_pairs: tuple[Name, ...] = Field(
        default=(), description="Pairs that are never trained on."
    )
    evaluation_unpaired: tuple[Name, ...] = Field(
        default=(), description="Labeled completions that are never trained on."
    )
    evaluation_demonstrations: tuple[Name, ...] = Field(
        default=(), description="Demonstrations that are never trained on."
    )
    general_text: Name | None = Field(
        default=None,
        description="A file of ordinary text: its perplexity tells what the model forgets.",
    )
    max_prompt_tokens: Integer = Field(
        default=512,
        ge=1,
        le=1_048_576,
        description="Of a longer prompt whole old turns are left out, never the system message; "
        "one whose last turn alone is longer is dropped and counted.",
        json_schema_extra=TOKENS,
    )
    max_completion_tokens: Integer = Field(
        default=512,
        ge=1,
        le=1_048_576,
        description="A longer completion is dropped and counted, never cut.",
        json_schema_extra=TOKENS,
    )
    ties: Literal["soft", "drop"] = Field(
        default="soft",
        description="A tie teaches that both are equally good (soft), or is left out (drop).",
    )
    unacceptable: Literal["keep", "drop_winners"] = Field(
        default="keep",
        description="Pairs whose winner is itself marked unacceptable: keep, or drop them.",
    )
    system_role: Literal["refuse", "fold"] = Field(
        default="refuse",
        description="Of a template without a place for system messages: rows with one are left out "
        "and counted (refuse), or it is put before the user's first message (fold).",
    )
    held_out_fraction: Number = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="Share of the prompts kept for evaluation when no evaluation file is given.",
    )

    @property
    def evaluation(self) -> tuple[str, ...]:
        """All evaluation files."""
        return (
            self.evaluation_rankings
            + self.evaluation_pairs
            + self.evaluation_unpaired
            + self.evaluation_demonstrations
        )


class Measuring(Section):
    """What is measured of the trained model beside the held-out preferences."""

    answers: Integer = Field(
        default=16,
        ge=0,
        le=10_000,
        description="Held-out prompts that the trained model and the base answer, to see whether "
        "answers become longer or shorter; 0 leaves it out.",
    )
    max_new_tokens: Integer = Field(
        default=64,
        ge=1,
        le=32768,
        description="These answers are cut here.",
        json_schema_extra=TOKENS,
    )
    learning_curve: Flag = Field(
        default=False,
        description="Train on 12, 25 and 50% of the data as well, to see whether more labels would "
        "help: nearly as much work again. For reward models and DPO.",
    )


class Optimizer(Section):
    """AdamW and its schedule."""

    name: Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = Field(
        default="adamw",
        description="The 8-bit ones hold their state in a quarter of the memory, the paged ones "
        "move it to the CPU when the GPU is full; they need a GPU that holds the whole base: where "
        "FSDP spreads it over several, only adamw works.",
    )
    lr: Number = Field(
        default=5e-5,
        gt=0,
        le=1,
        description="Peak learning rate. Usual with LoRA: 2e-4 for SFT, 1e-4 for a reward model, "
        "2e-5 to 5e-5 for DPO and KTO, 3e-5 for PPO, 1e-5 for RLOO and GRPO.",
    )
    weight_decay: Number = Field(default=0.0, ge=0, le=1, description="Decoupled, as in AdamW.")
    betas: tuple[
        Annotated[Number, Field(ge=0, lt=1)],
        Annotated[Number, Field(ge=0, lt=1)],
    ] = Field(default=(0.9, 0.999), description="Decay of Adam's two averages.")
    max_grad_norm: Number = Field(
        default=1.0, gt=0, le=1e6, description="A gradient with a larger norm is scaled down to it."
    )
    warmup_ratio: Number = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of the steps in which the rate rises to its peak; the first step has a "
        "rate above 0 too.",
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="How the rate falls after the warm-up."
    )


class Training(Section):
    """How long, in what steps, and how often something is written."""

    epochs: Number | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Passes over the data; give this or max_steps.",
        json_schema_extra={"unit": "epochs"},
    )
    max_steps: Integer | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="Steps of the optimizer; give this or epochs.",
        json_schema_extra=STEPS,
    )
    groups_per_step: Integer = Field(
        default=8,
        ge=1,
        le=65536,
        description="Rankings (pairs, demonstrations, prompts) that one step learns from, over all "
        "GPUs together.",
        json_schema_extra={"unit": "groups"},
    )
    tokens_per_pack: Integer = Field(
        default=4096,
        ge=1,
        le=4_194_304,
        description="Tokens that go through the model at a time: it changes memory and speed, not "
        "what is learned.",
        json_schema_extra=TOKENS,
    )
    seed: Integer = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="The same spec and seed on the same machine give the same losses.",
    )
    checkpoint_every: Integer = Field(
        default=50,
        ge=1,
        le=1_000_000,
        description="Steps between checkpoints.",
        json_schema_extra=STEPS,
    )
    keep_checkpoints: Integer = Field(
        default=2, ge=1, le=1000, description="Older checkpoints are deleted."
    )
    log_every: Integer = Field(
        default=1,
        ge=1,
        le=100_000,
        description="Steps between lines of metrics.",
        json_schema_extra=STEPS,
    )
    evaluate_every: Integer | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Steps between evaluations; absent, only at the end.",
        json_schema_extra=STEPS,
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.max_steps is None):
            given = "neither is" if self.epochs is None else "both are"
            raise ValueError(
                f"of epochs and max_steps {given} given; give exactly one of them, as epochs: 1"
            )
        return self
