"""From what a labeler said to the comparisons it implies: pure functions, no Django."""

from annotate.ranking.judgment import InvalidJudgment, Judgment, check
from annotate.ranking.pairs import MAX_STRENGTH, Pair, comparisons

__all__ = ["MAX_STRENGTH", "InvalidJudgment", "Judgment", "Pair", "check", "comparisons"]
