"""Rankings and pairs as ranking groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.engine.data.chat import Chat
from training.engine.data.comparisons import Choice
from training.engine.data.drafts import Draft, group, merged, single
from training.engine.data.pairs import read_pair
from training.engine.data.rankings import read_ranking
from training.engine.data.report import DropReport
from training.engine.data.sources import Source, nothing_left
from training.engine.data.split import Placed, divide, without_evaluated
from training.engine.errors import DataError
from training.engine.groups import Group
from training.engine.spec import Data, Method


@dataclass(frozen=True)
class Preferences:
    """content_hash: of the files and of every setting that changes the groups."""

    train: list[Group]
    evaluation: list[Group]
    report: DropReport
    content_hash: str


def load_preferences(
    data: Data, tokenizer: Any, *, method: Method, margins: bool = True
) -> Preferences:
    """The ranking groups of the spec's files of rankings and pairs.

    margins: whether pairs of a reward model ask for the margin of their strength; other methods'
    pairs ask for none. Evaluation pairs always carry it: it is how strong the preference was.
    Raises DataError when a file cannot be read, the chat template cannot be trained with, or
    nothing is left to train on.
    """
    single = method is Method.KTO
    choice = Choice(data.ties, data.unacceptable, margins and method is Method.REWARD, single)
    measured = Choice(data.ties, data.unacceptable, margins=True, single=single)
    source = Source(
        data,
        Chat(tokenizer),
        [
            ("rankings", read_ranking, data.rankings),
            ("pairs", read_pair, data.pairs),
            ("evaluation_rankings", read_ranking, data.evaluation_rankings),
            ("evaluation_pairs", read_pair, data.evaluation_pairs),
        ],
    )
    drafts = [_placed(draft) for draft in _drafts(source, "")]
    if data.evaluation_rankings or data.evaluation_pairs:
        held_out = [_placed(draft) for draft in _drafts(source, "evaluation_")]
        known = {one.prompt_hash for one in held_out}
        to_train = without_evaluated(drafts, known, source.drops)
    else:
        to_train, held_out = divide(drafts, data.held_out_fraction)
    train = list(_groups(to_train, choice, source))
    evaluation = list(_groups(held_out, measured, source))
    report = source.report()
    _refuse_nothing(data, train, evaluation, report)
    settings: dict[str, object] = {
        "ties": data.ties,
        "unacceptable": data.unacceptable,
        "margins": choice.margins,
        "held_out_fraction": data.held_out_fraction,
    }
    return Preferences(train, evaluation, report, source.content_hash(settings))


def _drafts(source: Source, prefix: str) -> Iterator[Draft]:
    yield from merged(source.encoded(f"{prefix}rankings"), source.drops)
    yield from single(source.encoded(f"{prefix}pairs"))


def _placed(draft: Draft) -> Placed[Draft]:
    first = draft.first
    return Placed(first.where, draft, first.prompt_hash, draft.held_out)


def _groups(drafts: list[Placed[Draft]], choice: Choice, source: Source) -> Iterator[Group]:
    for one in drafts:
        found = group(one.item, choice, source.drops)
        if found is not None:
            yield found


def _refuse_nothing(
    data: Data, train: list[Group], evaluation: list[Group], report: DropReport
) -> None:
    if not train and evaluation and not data.evaluation:
        raise DataError(
            f"All {len(evaluation):,} usable groups are held out for evaluation.",
            advice="Give more data, lower data.held_out_fraction, or name evaluation files.",
        )
    if not train:
        raise nothing_left("No ranking or pair is left to train on", report)
    if (data.evaluation_rankings or data.evaluation_pairs) and not evaluation:
        raise nothing_left("No ranking or pair is left in the evaluation files", report)
