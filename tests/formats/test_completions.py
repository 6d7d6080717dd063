"""Completions that say the same are one, and only those."""

import pytest

from formats.completions import Completion, alike, alike_groups, any_alike


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Paris.", False), ("Paris.", False), True),
        (("Paris. \n", False), ("Paris.", False), True),  # blanks at the end say nothing
        ((" Paris.", False), ("Paris.", False), False),  # at the start they are seen
        (("Paris.", False), ("Paris.", True), False),  # one might have gone on
        (("The capital", True), ("The capital", True), True),
        (("", False), (" ", False), True),
        (("é", False), ("e\u0301", False), False),  # other tokens
    ],
)
def test_alike(one: tuple[str, bool], other: tuple[str, bool], same: bool) -> None:
    assert alike(Completion(*one), Completion(*other)) is same
    assert any_alike([Completion(*one), Completion(*other)]) is same


def test_each_is_numbered_by_the_first_that_is_alike() -> None:
    texts = ["a", "b", "a ", "c", "b", "a"]
    assert alike_groups([Completion(text, False) for text in texts]) == [0, 1, 0, 3, 1, 0]
    assert alike_groups([]) == []
