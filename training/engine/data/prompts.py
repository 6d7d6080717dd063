"""Prompts to answer, for methods that sample their own completions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from formats.conversation import Messages
from training.engine.data.chat import Chat
from training.engine.data.demonstration_rows import DEMONSTRATIONS
from training.engine.data.pairs import PAIRS
from training.engine.data.rankings import RANKINGS
from training.engine.data.report import DropReport
from training.engine.data.sources import Source, nothing_left
from training.engine.data.split import Placed, divide, either, without_evaluated
from training.engine.groups import Tokens
from training.engine.spec import Data


@dataclass(frozen=True, slots=True)
class Prompt:
    """messages: as asked, without old turns over the limit.

    tokens: rendered, with the opening of the assistant's turn.
    """

    key: str
    messages: Messages
    tokens: Tokens


@dataclass(frozen=True)
class Prompts:
    train: list[Prompt]
    evaluation: list[Prompt]
    report: DropReport
    content_hash: str


def load_prompts(data: Data, tokenizer: Any) -> Prompts:
    """Each distinct prompt of all files of the spec once; completions are left aside.

    Raises DataError as `load_preferences` does.
    """
    kinds = (
        ("rankings", RANKINGS),
        ("pairs", PAIRS),
        ("demonstrations", DEMONSTRATIONS),
    )
    parts = [
        (prefix + kind, format, getattr(data, prefix + kind))
        for prefix in ("", "evaluation_")
        for kind, format in kinds
    ]
    source = Source(data, Chat(tokenizer, system_role=data.system_role), parts, answered=False)
    found = list(_prompts(source, [kind for kind, _ in kinds]))
    if data.evaluation:
        held_out = list(_prompts(source, [f"evaluation_{kind}" for kind, _ in kinds]))
        known = {one.prompt_hash for one in held_out}
        to_train = without_evaluated(found, known, source.drops)
    else:
        to_train, held_out = divide(found, data.held_out_fraction)
    report = source.report()
    if not to_train:
        raise nothing_left("No prompt is left to train on", report)
    settings: dict[str, object] = {"held_out_fraction": data.held_out_fraction}
    return Prompts(
        [one.item for one in to_train],
        [one.item for one in held_out],
        report,
        source.content_hash(settings),
    )


def _prompts(source: Source, roles: list[str]) -> Iterator[Placed[Prompt]]:
    """A prompt that any of its rows holds out is held out."""
    first: dict[bytes, Placed[Prompt]] = {}
    for row in source.encoded(*roles):
        known = first.get(row.prompt_hash)
        prompt = known.item if known else Prompt(row.where, row.messages, row.prompt)
        held_out = either(known.held_out, row.held_out) if known else row.held_out
        first[row.prompt_hash] = Placed(prompt.key, prompt, row.prompt_hash, held_out)
    yield from first.values()
