"""Identical answers of a ranking: tied in its tiers, and no pair of them is learned from."""

from dataclasses import replace
from itertools import combinations

from formats.completions import Completion, alike_groups
from formats.tiers import tied
from training.engine.data.examples import Example, Said
from training.engine.data.report import Drops

IDENTICAL = "pair of identical answers, between which nothing is preferred"


def without_alike_pairs(example: Example, drops: Drops) -> Said | None:
    """What was said, with identical answers in one tier; each pair of them is counted as dropped.

    A pair of equal texts has no gradient and no accuracy: it would only dilute both.
    """
    said = example.said
    if said is None:
        return None
    drops.counted["pairs"] += len(example.answers) * (len(example.answers) - 1) // 2
    same = alike_groups([Completion(one.text, one.cut_off) for one in example.answers])
    if len(set(same)) == len(same):
        return said
    for one, other in combinations(range(len(same)), 2):
        if same[one] == same[other]:
            drops.add(example.where, IDENTICAL, f"numbers {one} and {other}", unit="pairs")
    placed = tied(said.tiers, said.strengths, said.unacceptable, dict(enumerate(same)))
    return replace(
        said,
        tiers=placed.tiers,
        strengths=placed.strengths,
        unacceptable=placed.unacceptable,
        same=tuple(same),
    )
