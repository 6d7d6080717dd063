"""What a run may be asked for, for a form: methods, presets, every field of the engine's spec."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from training.engine.presets import PRESETS, Values
from training.engine.spec import Method, RunSpec
from training.runs.assembly import DECIDED
from training.runs.limits import limits_of

FIELD_TITLES = {
    "lora.r": "Rank",
    "lora.alpha": "Strength (alpha)",
    "lora.use_rslora": "Rank-stabilized scaling",
    "optimizer.lr": "Learning rate",
    "reward.head_lr": "Learning rate of the head",
    "dpo.sft_weight": "SFT weight",
    "kto.labels": "What is undesirable",
    "ppo.max_new_tokens": "Tokens of an answer",
    "ppo.missing_end_penalty": "Penalty for a missing end",
    "ppo.kl_coef": "KL coefficient",
    "ppo.kl_estimator": "KL estimator",
    "ppo.kl_target": "KL target",
    "ppo.kl_horizon": "KL horizon",
    "ppo.kl_bound": "KL bound",
    "ppo.kl_stop": "KL that ends a step",
    "ppo.clip": "Clip of the policy",
    "ppo.value_clip": "Clip of the value",
    "ppo.critic_lr": "Learning rate of the critic",
    "ppo.warm_critic": "Critic starts as the reward model",
    "ppo.gamma": "Discount (γ)",
    "ppo.lam": "λ of GAE",
    "ppo.whiten": "Whiten advantages",
    "ppo.entropy_weight": "Weight of the entropy",
    "ppo.ptx_weight": "Weight of PTX",
    "ppo.overlap": "Sample ahead",
    "ppo.importance_cap": "Cap of importance",
}
# Of the sections that all methods have, what only some of them read.
READ_BY: Mapping[str, Callable[[Method], bool]] = {
    "data.ties": lambda method: "ties" in method.facts.settings,
    "data.unacceptable": lambda method: "unacceptable" in method.facts.settings,
    "evaluation.learning_curve": lambda method: method.facts.has_curve,
    "evaluation.answers": lambda method: method.facts.writes,
    "evaluation.max_new_tokens": lambda method: method.facts.writes,
}
_KINDS = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text"}
FIELD_KINDS = ("integer", "number", "boolean", "choice", "numbers", "names", "text")
Described = dict[str, Any]


def methods() -> list[Described]:
    """name, title, description of each."""
    return [
        {"name": str(method), "title": method.facts.title, "description": method.facts.text}
        for method in Method
    ]


def presets(weights_b: float | None, counts: Described | None = None) -> list[Described]:
    """Smallest first; the recommended one is the smallest that is meant for the base.

    weights_b: the base's size in billions of weights; None: nobody knows, and none is recommended.
    counts: of the snapshot's manifest: the limits of tokens are those of its rounds.
    """
    sizes = sorted(preset.weights_b for preset in PRESETS.values())
    fitting = None if weights_b is None else next((s for s in sizes if s >= weights_b), sizes[-1])
    return [
        {
            "name": name,
            "title": preset.title,
            "why": preset.why,
            "weights_b": preset.weights_b,
            "recommended": preset.weights_b == fitting,
            "values": {
                str(method): {
                    **_by_path(preset.fragment(method)),
                    **_by_path({"data": limits_of(counts or {}, method, name)}),
                }
                for method in Method
            },
        }
        for name, preset in sorted(PRESETS.items(), key=lambda item: item[1].weights_b)
    ]


def _by_path(fragment: Values) -> Described:
    return {
        path: value
        for section, inner in fragment.items()
        for name, value in inner.items()
        if (path := f"{section}.{name}") not in DECIDED
    }


@cache
def fields() -> tuple[Described, ...]:
    """Every field that may be chosen, in the order of the spec."""
    schema = RunSpec.model_json_schema()
    found = []
    for section, reference in schema["properties"].items():
        inner = _resolved(reference, schema["$defs"])
        for name, field in inner.get("properties", {}).items():
            path = f"{section}.{name}"
            if path not in DECIDED and section not in DECIDED:
                found.append(_field(path, field, schema["$defs"]))
    return tuple(found)


def _field(path: str, field: Described, definitions: Described) -> Described:
    section, name = path.split(".")
    own = _resolved(field, definitions)
    kind, choices = _kind(own, field)
    return {
        "path": path,
        "section": section,
        "title": FIELD_TITLES.get(path, name.replace("_", " ").capitalize()),
        "description": field.get("description", ""),
        "type": kind,
        "default": field.get("default"),
        "minimum": own.get("minimum", own.get("exclusiveMinimum")),
        "maximum": own.get("maximum", own.get("exclusiveMaximum")),
        "choices": choices,
        "unit": field.get("unit"),
        "methods": [str(method) for method in _readers(path, section)],
    }


def _readers(path: str, section: str) -> tuple[Method, ...]:
    if path in READ_BY:
        return tuple(filter(READ_BY[path], Method))
    own = tuple(method for method in Method if method.section == section)
    return own or tuple(Method)


def _kind(own: Described, field: Described) -> tuple[str, list[Any] | None]:
    if "enum" in own:
        return "choice", list(own["enum"])
    if own.get("type") == "array":
        return "numbers", None
    if "type" in own:
        return _KINDS[own["type"]], None
    # "all-linear", or a list of names.
    words = [one["const"] for one in field.get("anyOf", []) if "const" in one]
    return "names", words


def _resolved(field: Described, definitions: Described) -> Described:
    """What stands behind a reference, and what is left of a choice between it and null."""
    if "$ref" in field:
        return dict(definitions[field["$ref"].rpartition("/")[2]])
    several = [one for one in field.get("anyOf", []) if one.get("type") != "null"]
    if len(several) == 1:
        return _resolved(several[0], definitions)
    return field
