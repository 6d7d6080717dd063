"""The win rate and its interval, against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.win_rate import of_counts, win_rate


def test_three_of_four() -> None:
    """Wilson, z² = 3.8415: (0.75 + z²/8 ± z √(0.75·0.25/4 + z²/64)) / (1 + z²/4)."""
    found = win_rate([(1, 0), (2, 1), (0.5, -3), (-1, 0)])
    assert found is not None
    assert (found.wins, found.ties, found.losses, found.prompts) == (3, 0, 1, 4)
    assert (found.value, found.method) == (0.75, "wilson")
    assert found.low == pytest.approx(0.300642, abs=1e-5)
    assert found.high == pytest.approx(0.954413, abs=1e-5)


def test_a_tie_is_half_a_win() -> None:
    found = win_rate([(1, 0), (2, 1), (0, 0), (3, 3)])
    assert found is not None
    assert (found.wins, found.ties, found.losses, found.value) == (2, 2, 0, 0.75)
    assert found.low == pytest.approx(0.300642, abs=1e-5)


def test_all_won_is_not_certain() -> None:
    """The upper end is 1, the lower 1 / (1 + z²/10)."""
    found = of_counts(10, 0, 0)
    assert found is not None
    assert found.low == pytest.approx(0.722467, abs=1e-5)
    assert found.high == 1


def test_nothing_compared_has_no_win_rate() -> None:
    assert win_rate([]) is None
    assert of_counts(0, 0, 0) is None


COUNTS = st.integers(0, 500)


@given(COUNTS, COUNTS, COUNTS)
def test_the_other_side_s_is_its_mirror(wins: int, ties: int, losses: int) -> None:
    ours, theirs = of_counts(wins, ties, losses), of_counts(losses, ties, wins)
    if ours is None or theirs is None:
        assert ours is theirs
        return
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    assert ours.value + theirs.value == pytest.approx(1)
    assert ours.low + theirs.high == pytest.approx(1)


@given(COUNTS, COUNTS, st.integers(1, 500), st.integers(2, 5))
def test_more_of_the_same_is_surer(wins: int, ties: int, losses: int, times: int) -> None:
    one, many = of_counts(wins, ties, losses), of_counts(*(n * times for n in (wins, ties, losses)))
    assert one is not None
    assert many is not None
    assert many.value == pytest.approx(one.value)
    assert many.high - many.low < one.high - one.low


@pytest.mark.parametrize("chances", [(0.5, 0.2, 0.3), (0.3, 0.4, 0.3), (0.7, 0.0, 0.3)])
def test_it_holds_the_truth_at_least_as_often_as_it_says(chances: tuple[float, ...]) -> None:
    truth = chances[0] + chances[1] / 2
    draws = np.random.default_rng(0).multinomial(64, chances, size=3000)
    found = [of_counts(*map(int, draw)) for draw in draws]
    held = np.mean([one is not None and one.low <= truth <= one.high for one in found])
    assert held >= 0.94
