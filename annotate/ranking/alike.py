"""Identical answers are tied by themselves, wherever the labeler placed them."""

from collections.abc import Mapping, Sequence

from annotate.ranking.judgment import Judgment
from formats.completions import Completion, alike_groups
from formats.tiers import tied


def same_of(ids: Sequence[int], completions: Sequence[Completion]) -> dict[int, int]:
    """Of each completion's id the id of the first one that is alike, in this order."""
    return {key: ids[first] for key, first in zip(ids, alike_groups(completions), strict=True)}


def groups_of(same: Mapping[int, int]) -> list[list[int]]:
    """The ids of those that are alike, two or more in a list."""
    found: dict[int, list[int]] = {}
    for key, first in same.items():
        found.setdefault(first, []).append(key)
    return [keys for keys in found.values() if len(keys) > 1]


def without_alike_pairs(judgment: Judgment, same: Mapping[int, int]) -> Judgment:
    """The judgment with alike completions tied, in the tier of the best placed of them."""
    if len(set(same.values())) == len(same):
        return judgment
    placed = tied(judgment.tiers, judgment.strengths, judgment.unacceptable, same)
    return Judgment(placed.tiers, placed.unacceptable, placed.strengths)
