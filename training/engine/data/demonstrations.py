"""Conversations to imitate: for SFT, and to see what a model forgets.

Every turn of the assistant's is learned from, with the end of the turn; the user's turns and what
the template puts around turns are only read. Each turn is learned behind exactly the tokens that a
replica would have been asked with. Where those of a later turn go on from the turn before, as with
most templates, both are one sequence; where a template renders the past differently (it leaves
thoughts out), or old turns are gone for want of room, the later turn begins a sequence of its own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from training.engine.data.chat import Chat
from training.engine.data.demonstration_rows import CONVERSATIONS
from training.engine.data.drafts import TOO_LONG
from training.engine.data.report import DropReport, Drops
from training.engine.data.sources import Encoded, Source, nothing_left
from training.engine.data.split import EVALUATED, Placed, divide, without_evaluated
from training.engine.errors import DataError
from training.engine.groups import Group, Tokens
from training.engine.spec import Data


@dataclass(frozen=True, slots=True)
class Demonstration:
    """key: where its row stands. tokens: (L,) ids of the sequence.

    learned: begin and end of each turn of the assistant's, [begin, end), in order and apart.
    """

    key: str
    tokens: Tokens
    learned: tuple[tuple[int, int], ...]

    @property
    def groups(self) -> list[Group]:
        """Each turn as a group of one completion, of which log-probabilities can be computed."""
        return [
            Group(self.key, self.tokens[:begin], (self.tokens[begin:end],))
            for begin, end in self.learned
        ]


@dataclass(frozen=True)
class Demonstrations:
    """train may be empty when the spec names evaluation files only."""

    train: list[Demonstration]
    evaluation: list[Demonstration]
    report: DropReport
    content_hash: str


# The turns of one row that can be learned, the last one last.
Turns = list[Encoded]


def load_demonstrations(data: Data, tokenizer: Any) -> Demonstrations:
    """Raises DataError when a file cannot be read, the chat template cannot be trained with, or
    nothing is left of the files.
    """
    names = {
        "demonstrations": data.demonstrations,
        "evaluation_demonstrations": data.evaluation_demonstrations,
    }
    parts = [(role, CONVERSATIONS, paths) for role, paths in names.items()]
    source = Source(data, Chat(tokenizer, system_role=data.system_role), parts)
    found = list(_placed(source, "demonstrations"))
    if data.evaluation_demonstrations:
        held_out = list(_placed(source, "evaluation_demonstrations"))
        known = {one.prompt_hash for one in held_out}
        to_train = without_evaluated(found, known, source.drops)
    else:
        to_train, held_out = divide(found, data.held_out_fraction)
    evaluated = {turn.prompt_hash for one in held_out for turn in one.item}
    train = list(_sequences(to_train, evaluated, source.drops))
    evaluation = list(_sequences(held_out, (), source.drops))
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


def _placed(source: Source, role: str) -> Iterator[Placed[Turns]]:
    """Each row with its turns. Its side is that of its last prompt, as with preferences."""
    for where, found in groupby(source.encoded(role), key=lambda turn: turn.where):
        turns = list(found)
        yield Placed(where, turns, turns[-1].prompt_hash, turns[-1].held_out)


def _sequences(
    placed: Iterable[Placed[Turns]], evaluated: Collection[bytes], drops: Drops
) -> Iterator[Demonstration]:
    """evaluated: hashes of prompts that are measured on; what answers one is not learned."""
    for one in placed:
        kept = []
        for turn in one.item:
            (completion,) = turn.completions
            if completion is None:
                drops.add(one.where, TOO_LONG, unit="completions")
            elif turn.prompt_hash in evaluated:
                drops.add(one.where, EVALUATED, unit="completions")
            else:
                kept.append((turn.prompt, completion))
        yield from joined(one.where, kept)


def joined(key: str, turns: Sequence[tuple[Tokens, Tokens]]) -> Iterator[Demonstration]:
    """(prompt, completion) of each turn as few sequences, tokens unchanged."""
    tokens: Tokens = ()
    learned: list[tuple[int, int]] = []
    for prompt, completion in turns:
        if learned and prompt[: len(tokens)] != tokens:
            yield Demonstration(key, tokens, tuple(learned))
            learned = []
        tokens = prompt + completion
        learned.append((len(prompt), len(tokens)))
    if learned:
        yield Demonstration(key, tokens, tuple(learned))
