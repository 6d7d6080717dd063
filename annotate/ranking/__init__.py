"""From what a labeler said to the comparisons it implies: pure functions, no Django."""

from annotate.ranking.alike import groups_of, same_of, without_alike_pairs
from annotate.ranking.judgment import InvalidJudgment, Judgment, check
from annotate.ranking.pairs import MAX_STRENGTH, Pair, comparisons

__all__ = [
    "MAX_STRENGTH",
    "InvalidJudgment",
    "Judgment",
    "Pair",
    "check",
    "comparisons",
    "groups_of",
    "same_of",
    "without_alike_pairs",
]
