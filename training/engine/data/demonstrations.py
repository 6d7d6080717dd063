"""Prompts with a good completion: for SFT, and to see what a model forgets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.engine.data.chat import Chat
from training.engine.data.demonstration_rows import read_demonstration
from training.engine.data.drafts import TOO_LONG
from training.engine.data.report import DropReport
from training.engine.data.sources import Source, nothing_left
from training.engine.data.split import Placed, divide, without_evaluated
from training.engine.errors import DataError
from training.engine.groups import Group, Tokens
from training.engine.spec import Data


@dataclass(frozen=True, slots=True)
class Demonstration:
    """prompt, completion: token ids as in a Group. key: where its row stands."""

    key: str
    prompt: Tokens
    completion: Tokens

    @property
    def group(self) -> Group:
        """As a group of one completion, of which log-probabilities can be computed."""
        return Group(self.key, self.prompt, (self.completion,))


@dataclass(frozen=True)
class Demonstrations:
    """train may be empty when the spec names evaluation files only."""

    train: list[Demonstration]
    evaluation: list[Demonstration]
    report: DropReport
    content_hash: str


def load_demonstrations(data: Data, tokenizer: Any) -> Demonstrations:
    """Raises DataError when a file cannot be read, the chat template cannot be trained with, or
    nothing is left of the files.
    """
    names = {
        "demonstrations": data.demonstrations,
        "evaluation_demonstrations": data.evaluation_demonstrations,
    }
    parts = [(role, read_demonstration, paths) for role, paths in names.items()]
    source = Source(data, Chat(tokenizer), parts)
    found = list(_demonstrations(source, "demonstrations"))
    if data.evaluation_demonstrations:
        held_out = list(_demonstrations(source, "evaluation_demonstrations"))
        known = {one.prompt_hash for one in held_out}
        to_train = without_evaluated(found, known, source.drops)
    else:
        to_train, held_out = divide(found, data.held_out_fraction)
    train, evaluation = ([one.item for one in side] for side in (to_train, held_out))
    report = source.report()
    if data.demonstrations and not train:
        if evaluation and not data.evaluation_demonstrations:
            raise DataError(
                f"All {len(evaluation):,} usable demonstrations are held out for evaluation.",
                advice="Give more data, lower data.held_out_fraction, or name evaluation files.",
            )
        raise nothing_left("No demonstration is left to train on", report)
    if data.evaluation_demonstrations and not evaluation:
        raise nothing_left("No demonstration is left in the evaluation files", report)
    settings: dict[str, object] = {"held_out_fraction": data.held_out_fraction}
    return Demonstrations(train, evaluation, report, source.content_hash(settings))


def _demonstrations(source: Source, role: str) -> Iterator[Placed[Demonstration]]:
    for row in source.encoded(role):
        (completion,) = row.completions
        if completion is None:
            source.drops.add(row.where, TOO_LONG)
            continue
        one = Demonstration(row.where, row.prompt, completion)
        yield Placed(row.where, one, row.prompt_hash, row.held_out)
