"""What people said, as completions that are desirable or not (Ethayarajh et al. 2024, section 4).

By flags: a completion that a labeler marked unacceptable is undesirable, every other one is
desirable; so three unacceptable answers to a prompt say three times what not to write. By tiers:
the best tier is desirable and the worst is not, whatever was marked; the tiers between say neither,
nor does a ranking without a strict comparison. Each ranking of a group counts by itself; weights of
rankings are not used, for KTO has none.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from training.engine.data import Labeled
from training.engine.errors import DataError
from training.engine.groups import Group, Ranking, Tokens
from training.engine.spec import KTO

Labels = Literal["flags", "tiers"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A completion that is desirable, or not."""

    prompt: Tokens
    completion: Tokens
    desirable: bool


def labels_of(settings: KTO, groups: Sequence[Group]) -> Labels:
    """What decides, as the spec says; "auto": the flags where labelers used any."""
    if settings.labels != "auto":
        return settings.labels
    flagged = any(ranking.unacceptable for group in groups for ranking in group.rankings)
    return "flags" if flagged else "tiers"


def judged(groups: Sequence[Group], labels: Labels) -> list[Judged]:
    """What rankings say of single completions, in their order."""
    says = _flagged if labels == "flags" else _extremes
    return [
        Judged(group.prompt, group.completions[place], desirable)
        for group in groups
        for ranking in group.rankings
        for place, desirable in says(ranking)
    ]


def silent(groups: Sequence[Group], labels: Labels) -> int:
    """How many rankings say nothing of any completion."""
    says = _flagged if labels == "flags" else _extremes
    return sum(not any(True for _ in says(one)) for group in groups for one in group.rankings)


def _flagged(ranking: Ranking) -> Iterator[tuple[int, bool]]:
    for tier in ranking.tiers:
        yield from ((place, place not in ranking.unacceptable) for place in tier)


def _extremes(ranking: Ranking) -> Iterator[tuple[int, bool]]:
    """Of the best and of the worst tier, who wins or loses a comparison that is no tie.

    With data.unacceptable "drop_winners" an unacceptable completion wins none, so it is never
    desirable.
    """
    strict = [pair for pair in ranking.pairs if pair.target == 1]
    winners, losers = {pair.winner for pair in strict}, {pair.loser for pair in strict}
    yield from ((place, True) for place in ranking.tiers[0] if place in winners)
    yield from ((place, False) for place in ranking.tiers[-1] if place in losers)


def said_alone(labeled: Sequence[Labeled]) -> list[Judged]:
    """What files of single completions say of each."""
    return [Judged(one.prompt, one.completion, one.desirable) for one in labeled]


def shuffled(examples: Sequence[Judged], seed: int) -> list[Judged]:
    """In the order of training: TRL takes KTO's examples in sequence, epoch after epoch."""
    found = list(examples)
    random.Random(seed).shuffle(found)  # noqa: S311 - an order, not a secret
    return found


def balanced(settings: KTO, examples: Sequence[Judged]) -> tuple[float, float]:
    """The weights of desirable and undesirable losses.

    The rarer kind is raised until both weigh the same over the data (eq. 8 asks for a ratio of 1 to
    4/3), then the spec's weights apply. Raises DataError when there is only one kind.
    """
    good = sum(one.desirable for one in examples)
    bad = len(examples) - good
    if not (good and bad):
        raise DataError(
            "KTO needs desirable and undesirable completions, and the data have only "
            f"{'desirable' if good else 'undesirable' if bad else 'tied'} ones.",
            advice="Give rankings with two tiers or more, or mark what is unacceptable; kto.labels "
            '"tiers" takes the best and the worst tier whatever was marked.',
        )
    return (
        settings.desirable_weight * max(1.0, bad / good),
        settings.undesirable_weight * max(1.0, good / bad),
    )


def in_words(labels: Labels, examples: Sequence[Judged], alone: int = 0) -> str:
    """What KTO learns from, for run.json and for who watches. alone: by labels of their own."""
    good = sum(one.desirable for one in examples)
    by = "unacceptable marks" if labels == "flags" else "best and worst tiers"
    own = f"; {alone:,} of them by labels of their own" if alone else ""
    return f"by {by}: {good:,} desirable completions, {len(examples) - good:,} undesirable{own}"
