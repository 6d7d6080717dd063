"""Rankings and pairs as ranking groups."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from training.engine.data.chat import Chat
from training.engine.data.comparisons import Choice
from training.engine.data.drafts import Draft, group, merged, single
from training.engine.data.pairs import PAIRS
from training.engine.data.rankings import RANKINGS
from training.engine.data.report import DropReport
from training.engine.data.sources import Source, nothing_left
from training.engine.data.split import Placed, divide, without_evaluated
from training.engine.data.unpaired import UNPAIRED, Labeled, labeled
from training.engine.errors import DataError
from training.engine.groups import Group
from training.engine.spec import Data, Method


@dataclass(frozen=True)
class Preferences:
    """content_hash: of the files and of every setting that changes the groups.

    labeled: completions that were called desirable or not by themselves, for KTO.
    """

    train: list[Group]
    evaluation: list[Group]
    report: DropReport
    content_hash: str
    labeled: list[Labeled] = field(default_factory=list)
    evaluation_labeled: list[Labeled] = field(default_factory=list)


def load_preferences(
    data: Data, tokenizer: Any, *, method: Method, margins: bool = True
) -> Preferences:
    """The ranking groups of the spec's files of rankings and pairs, and what KTO's own files say.

    margins: whether pairs of a reward model ask for the margin of their strength; other methods'
    pairs ask for none. Evaluation pairs always carry it: it is how strong the preference was.
    Raises DataError when a file cannot be read, the chat template cannot be trained with, or
    nothing is left to train on.
    """
    for_kto = method is Method.KTO
    choice = Choice(data.ties, data.unacceptable, margins and method is Method.REWARD, for_kto)
    measured = Choice(data.ties, data.unacceptable, margins=True, single=for_kto)
    source = Source(
        data,
        Chat(tokenizer, system_role=data.system_role),
        [
            ("rankings", RANKINGS, data.rankings),
            ("pairs", PAIRS, data.pairs),
            ("unpaired", UNPAIRED, data.unpaired),
            ("evaluation_rankings", RANKINGS, data.evaluation_rankings),
            ("evaluation_pairs", PAIRS, data.evaluation_pairs),
            ("evaluation_unpaired", UNPAIRED, data.evaluation_unpaired),
        ],
    )
    drafts = [_placed(draft) for draft in _drafts(source, "")]
    if _evaluated(data):
        held_out = [_placed(draft) for draft in _drafts(source, "evaluation_")]
        known = {one.prompt_hash for one in held_out}
        to_train = without_evaluated(drafts, known, source.drops)
    else:
        to_train, held_out = divide(drafts, data.held_out_fraction)
    train = list(_groups(to_train, choice, source))
    evaluation = list(_groups(held_out, measured, source))
    single_train, single_evaluation = (
        list(labeled((one.item for one in side), source.drops)) for side in (to_train, held_out)
    )
    report = source.report()
    counts = len(train) + len(single_train), len(evaluation) + len(single_evaluation)
    _refuse_nothing(data, *counts, report)
    settings: dict[str, object] = {
        "ties": data.ties,
        "unacceptable": data.unacceptable,
        "margins": choice.margins,
        "held_out_fraction": data.held_out_fraction,
    }
    return Preferences(
        train,
        evaluation,
        report,
        source.content_hash(settings),
        single_train,
        single_evaluation,
    )


def _drafts(source: Source, prefix: str) -> Iterator[Draft]:
    yield from merged(source.encoded(f"{prefix}rankings"), source.drops)
    yield from single(source.encoded(f"{prefix}pairs", f"{prefix}unpaired"))


def _evaluated(data: Data) -> tuple[str, ...]:
    """The evaluation files that hold judgments."""
    return data.evaluation_rankings + data.evaluation_pairs + data.evaluation_unpaired


def _placed(draft: Draft) -> Placed[Draft]:
    first = draft.first
    return Placed(first.where, draft, first.prompt_hash, draft.held_out)


def _groups(drafts: list[Placed[Draft]], choice: Choice, source: Source) -> Iterator[Group]:
    for one in drafts:
        if one.item.first.desirable is not None:
            continue
        found = group(one.item, choice, source.drops)
        if found is not None:
            yield found


def _refuse_nothing(data: Data, train: int, evaluation: int, report: DropReport) -> None:
    if not train and evaluation and not data.evaluation:
        raise DataError(
            f"All {evaluation:,} usable groups are held out for evaluation.",
            advice="Give more data, lower data.held_out_fraction, or name evaluation files.",
        )
    if not train:
        raise nothing_left("No ranking or pair is left to train on", report)
    if _evaluated(data) and not evaluation:
        raise nothing_left("No ranking or pair is left in the evaluation files", report)
