"""The whole spec of a run, from what a person chose and what Prefloop knows."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from annotate.errors import Invalid
from training.engine.errors import SpecError
from training.engine.launch.sharding import refuse_unshardable
from training.engine.presets import PRESETS, with_preset
from training.engine.spec import DATA_FILES, SECTIONS, Method, RunSpec, parse_spec
from training.engine.spec.words import problems
from training.snapshots.methods import data_of

Values = dict[str, Any]

LARGEST = 64 * 1024  # characters of JSON
DATA, ADAPTERS = "data", "adapters"
GENERAL_TEXT = f"{DATA}/general.txt"
CHAT_TEMPLATE = "chat_template.jinja"
PARENT_USES = ("continue", "reference", "both")
# What follows from the other choices, and what would let a project's admin read this machine's
# files or run code on it.
DECIDED = frozenset(
    {
        "method",
        "parent",
        "merge",
        "base.model",
        "base.revision",
        "base.chat_template",
        "base.chat_template_kwargs",
        "base.trust_remote_code",
        "dpo.reference_cache",
        "online.rewards",
        "ppo.rewards",
        "ppo.reward_base",
        "ppo.server",
        "data.general_text",
        *(f"data.{name}" for name in DATA_FILES),
    }
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a run is to do. values: a part of the engine's spec, by section.

    data: the engine's `data` for the method, as the snapshot's manifest says it; None: it has none.
    limits: of `data`, as the snapshot's rounds wrote; they come before the preset's. base: name of
    the model. parent, judge: content hashes of adapters, "" for none. own_template:
    a chat template lies in the run folder; chat_template_kwargs: settings of it, as it is served.
    sharded: the base will be spread over several GPUs.
    """

    method: str
    preset: str
    values: Mapping[str, Any]
    data: Mapping[str, Any] | None
    base: str
    parent: str = ""
    parent_use: str = "continue"
    judge: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    own_template: bool = False
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    sharded: bool = False


def assemble(choice: Choice) -> Values:
    """The spec as JSON, with every default; its paths are those inside of the run folder.

    Raises Invalid, which names the fields at fault.
    """
    method = method_named(choice.method)
    if choice.preset and choice.preset not in PRESETS:
        raise _invalid("preset", f"There is no preset “{choice.preset}”: {', '.join(PRESETS)}.")
    if choice.data is None:
        raise _invalid("snapshot", nothing_for(method))
    if method.learns_from_judge != bool(choice.judge):
        raise _invalid("judge", _about_judge(method))
    if choice.parent_use not in PARENT_USES:
        raise _invalid("parent_use", f"Choose among {', '.join(PARENT_USES)}.")
    if len(json.dumps(dict(choice.values), default=str)) > LARGEST:
        raise _invalid("values", "These are more values than a run has. Leave some out.")
    chosen = _open_values(choice.values)
    values = _with_decided(choice, method, chosen)
    try:
        whole = with_preset(choice.preset, values) if choice.preset else values
        spec = parse_spec(whole)
    except SpecError as problem:
        raise _in_fields(problem) from None
    if choice.sharded:
        try:
            refuse_unshardable(spec)
        except SpecError as problem:
            raise _invalid("optimizer.name", f"{problem.message} {problem.advice}") from None
    return spec.model_dump(mode="json")


def method_named(name: str) -> Method:
    """Raises Invalid."""
    if name not in list(Method):
        raise _invalid("method", f"There is no method “{name}”: {', '.join(Method)}.")
    return Method(name)


def data_for(method: str, manifest: Mapping[str, Any]) -> Values | None:
    """The engine's `data` of a run on a snapshot; None if it has nothing for the method.

    Of a method that was added after the snapshot was built, by the names of its files.
    """
    if method in manifest["methods"] or method not in list(Method):
        known: Values | None = manifest["methods"].get(method)
        return known
    return data_of(Method(method), manifest["files"])


def nothing_for(method: Method) -> str:
    """Why a snapshot cannot be trained on, and what to do."""
    wanted = method.facts.reads[0]
    return (
        f"The snapshot has no {wanted} to train on, which {method} needs. "
        f"Collect {wanted}, build a new snapshot, or choose another method."
    )


def located(spec: Mapping[str, Any], place: str, rollouts: str = "") -> Values:
    """The spec as the engine gets it on this machine, whose addresses are nobody else's business.

    place: where the base lies. rollouts: address of the vLLM that samples PPO's answers, "" for
    none.
    """
    found = {**spec, "base": {**spec["base"], "model": place}}
    if spec.get("ppo"):
        found["ppo"] = {**spec["ppo"], "server": rollouts or None}
    return found


def files_of(spec: Mapping[str, Any]) -> list[str]:
    """The data files that a spec names, as paths inside of the run folder."""
    return [path for name in DATA_FILES for path in spec["data"].get(name, ())]


def adapters_of(spec: Mapping[str, Any]) -> list[str]:
    """The content hashes of the adapters that a spec names."""
    named = [spec["parent"]["adapter"]] if spec.get("parent") else []
    for section in SECTIONS:
        named += (spec.get(section) or {}).get("rewards", [])
    return [path.removeprefix(f"{ADAPTERS}/") for path in named if path.startswith(f"{ADAPTERS}/")]


def _about_judge(method: Method) -> str:
    if method.learns_from_judge:
        return f"{method} learns from the rewards of a reward model: choose one as the judge."
    return f"{method} learns from the rankings themselves: choose no judge."


def _open_values(values: Mapping[str, Any]) -> Values:
    """Without nulls, which mean "as if it were not there". Raises Invalid for what is decided."""
    taken = sorted(path for path in _paths(values) if path in DECIDED)
    if taken:
        words = "Prefloop decides this itself: leave it out."
        raise Invalid(f"{taken[0]}: {words}", fields={path: [words] for path in taken})
    return {
        section: _without_nulls(inner) if isinstance(inner, Mapping) else inner
        for section, inner in values.items()
        if inner is not None
    }


def _without_nulls(values: Mapping[str, Any]) -> Values:
    return {name: value for name, value in values.items() if value is not None}


def _paths(values: Mapping[str, Any]) -> Iterator[str]:
    for section, inner in values.items():
        yield section
        if isinstance(inner, Mapping):
            yield from (f"{section}.{name}" for name in inner)


def _with_decided(choice: Choice, method: Method, chosen: Values) -> Values:
    values = {**chosen, "method": str(method)}
    base: Values = {"model": choice.base}
    if choice.own_template:
        base["chat_template"] = CHAT_TEMPLATE
    if choice.chat_template_kwargs:
        base["chat_template_kwargs"] = dict(choice.chat_template_kwargs)
    decided: dict[str, Values] = {
        "data": {**_data(choice, method), **choice.limits},
        "base": base,
    }
    if choice.judge and method.section:
        decided[method.section] = {"rewards": [f"{ADAPTERS}/{choice.judge}"]}
    for section, inner in decided.items():
        said = chosen.get(section, {})
        if not isinstance(said, Mapping):
            raise _invalid(section, "It must be an object with fields.")
        values[section] = {**inner, **said}
    if choice.parent:
        adapter = f"{ADAPTERS}/{choice.parent}"
        values["parent"] = {"adapter": adapter, "use": choice.parent_use}
    return values


def _data(choice: Choice, method: Method) -> Values:
    """The snapshot's files, and a page of ordinary text on which forgetting is measured."""
    files: Values = {} if method is Method.REWARD else {"general_text": GENERAL_TEXT}
    for name, value in (choice.data or {}).items():
        files[name] = [f"{DATA}/{path}" for path in value] if name in DATA_FILES else value
    return files


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, fields={field: [message]})


def _in_fields(problem: SpecError) -> Invalid:
    fields: dict[str, list[str]] = {}
    if isinstance(problem.__cause__, ValidationError):
        for field, what in problems(problem.__cause__, RunSpec):
            if field:
                fields.setdefault(field, []).append(what)
    return Invalid(problem.message, fields=fields)
