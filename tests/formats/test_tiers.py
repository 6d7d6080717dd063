"""The same answer has one place in a ranking, worked by hand."""

import pytest

from formats.tiers import ordered_alike, tied

# 1, 3 and 4 say the same, 2 says something else.
SAME = {1: 1, 2: 2, 3: 1, 4: 1}


def test_alike_completions_join_the_best_placed_of_them() -> None:
    placed = tied([[3], [2], [1, 4]], [1, 2], [], SAME)

    assert placed.tiers == ((3, 1, 4), (2,))
    assert placed.strengths == (1,)


@pytest.mark.parametrize(
    ("strengths", "left"), [([1, 1], (2,)), ([3, 2], (3,)), ([None, 2], (None,)), ([], ())]
)
def test_the_step_over_an_emptied_tier_is_the_sum(
    strengths: list[int | None], left: tuple[int | None, ...]
) -> None:
    placed = tied([[1], [3, 4], [2]], strengths, [], SAME)

    assert placed == (((1, 3, 4), (2,)), left, frozenset())


def test_all_that_are_alike_are_one_tie() -> None:
    placed = tied([[1], [3], [4]], [3, 3], [3, 4], {1: 1, 3: 1, 4: 1})
    assert placed == (((1, 3, 4),), (), frozenset())


def test_the_same_answer_is_unacceptable_if_all_of_them_are_marked() -> None:
    assert tied([[2], [1, 3], [4]], [], [1, 3, 4], SAME).unacceptable == {1, 3, 4}
    assert tied([[1], [2], [3, 4]], [], [2, 3, 4], SAME).unacceptable == {2}


def test_different_answers_stay_where_they_were() -> None:
    apart = {one: one for one in range(1, 5)}
    assert tied([[2], [1, 3], [4]], [2, None], [4], apart) == (
        ((2,), (1, 3), (4,)),
        (2, None),
        frozenset({4}),
    )


def test_the_ordered_pairs_of_the_same_answer_are_counted() -> None:
    assert ordered_alike([[3], [2], [1, 4]], SAME) == 2
    assert ordered_alike([[1], [3], [4], [2]], SAME) == 3
    assert ordered_alike([[1, 3, 4], [2]], SAME) == 0
