"""The stopping rule of the A/B round: worked by hand, and held against what it promises."""

import random
from math import comb, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.loop.stopping import ONE_IN, Standing, decide, excludes_half, interval

COUNTS = st.integers(min_value=0, max_value=400)


@pytest.mark.parametrize(
    ("wins", "losses", "sure"),
    [
        (0, 0, False),
        (7, 0, False),  # 2^7 / 8 = 16
        (8, 0, True),  # 2^8 / 9 = 28.4
        (0, 8, True),
        (9, 1, False),  # 2^10 / (11 · 10) = 9.3
        (10, 1, False),  # 2^11 / (12 · 11) = 15.5
        (11, 1, True),  # 2^12 / (13 · 12) = 26.3
        (30, 20, False),
        (35, 15, False),  # 2^50 / (51 · C(50, 15)) = 9.8
        (36, 14, True),  # 2^50 / (51 · C(50, 14)) = 23.5
    ],
)
def test_who_is_better_worked_by_hand(wins: int, losses: int, sure: bool) -> None:
    assert excludes_half(Standing(wins=wins, losses=losses)) is sure


def test_the_ends_of_eight_wins_worked_by_hand() -> None:
    """M_8(p) = (1/9) / p^8 = 20 at p = 180^(-1/8)."""
    low, high = interval(Standing(wins=8, ties=5))
    assert low == pytest.approx(180 ** (-1 / 8), abs=1e-9)
    assert high == 1.0


@given(wins=COUNTS, losses=COUNTS, ties=COUNTS)
def test_the_interval_and_the_rule_agree(wins: int, losses: int, ties: int) -> None:
    standing = Standing(wins, ties, losses)
    low, high = interval(standing)
    share = wins / (wins + losses) if wins + losses else 0.5
    assert 0.0 <= low <= share <= high <= 1.0
    assert excludes_half(standing) == (low >= 0.5 or high <= 0.5)
    mirrored = interval(Standing(losses, ties, wins))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(wins=COUNTS, losses=COUNTS, ties=COUNTS)
def test_ties_say_nothing_of_who_is_better(wins: int, losses: int, ties: int) -> None:
    assert excludes_half(Standing(wins, ties, losses)) == excludes_half(Standing(wins, 0, losses))


def test_a_martingale_under_equals() -> None:
    """The mean of M_(n+1)(1/2) over both next outcomes is M_n(1/2)."""

    def m(wins: int, losses: int) -> float:
        n = wins + losses
        return float(2**n / ((n + 1) * comb(n, wins)))

    for wins in range(12):
        for losses in range(12):
            mean = (m(wins + 1, losses) + m(wins, losses + 1)) / 2
            assert mean == pytest.approx(m(wins, losses))


@pytest.mark.parametrize("ties", [0.0, 0.3])
def test_equals_are_told_apart_in_less_than_one_of_twenty(ties: float) -> None:
    """However often one looks: after each of 200 rankings, in 400 rounds."""
    draw = random.Random(7)
    wrong = sum(_ever_sure(draw, 0.5, ties, looks=200) for _ in range(400))
    assert wrong / 400 < 1 / ONE_IN


@pytest.mark.parametrize("chance", [0.3, 0.6, 0.9])
def test_the_true_chance_is_in_the_sequence_at_every_look(chance: float) -> None:
    draw = random.Random(11)
    missed = 0
    for _ in range(300):
        wins = 0
        for n in range(1, 101):
            wins += draw.random() < chance
            if not _holds(wins, n - wins, chance):
                missed += 1
                break
    assert missed / 300 < 1 / ONE_IN


def _holds(wins: int, losses: int, chance: float) -> bool:
    """Whether log M_n(chance) < log 1/α, as `interval` solves it."""
    n = wins + losses
    mixture = -log(n + 1) - log(comb(n, wins))
    return mixture - wins * log(chance) - losses * log(1 - chance) < log(ONE_IN)


def test_a_better_candidate_is_found_early() -> None:
    draw = random.Random(3)
    found = sum(_ever_sure(draw, 0.8, 0.1, looks=50) for _ in range(200))
    assert found > 170


def _ever_sure(draw: random.Random, chance: float, ties: float, *, looks: int) -> bool:
    wins = losses = 0
    for _ in range(looks):
        if draw.random() < ties:
            continue
        won = draw.random() < chance
        wins, losses = wins + won, losses + (not won)
        if excludes_half(Standing(wins, 0, losses)):
            return True
    return False


def test_the_round_ends_when_it_is_decided_at_its_limit_or_when_nobody_comes() -> None:
    def passed(standing: Standing, *, over: bool = False, wanted: float = 0.5) -> bool | None:
        decision = decide(standing, limit=50, min_win_rate=wanted, over=over)
        return decision.passed if decision else None

    assert passed(Standing()) is None
    assert passed(Standing(7, 2, 0)) is None
    assert passed(Standing(8, 2, 0)) is True
    assert passed(Standing(0, 2, 8)) is False
    assert passed(Standing(25, 5, 20)) is True
    assert passed(Standing(20, 5, 25)) is False
    assert passed(Standing(20, 10, 20)) is True  # as good as the incumbent
    assert passed(Standing(20, 10, 20), wanted=0.55) is False
    assert passed(Standing(3, 0, 2)) is None
    assert passed(Standing(3, 0, 2), over=True) is True
    assert passed(Standing(), over=True) is False


def test_the_words_say_how_it_ended() -> None:
    sure = decide(Standing(8, 1, 0), limit=50, min_win_rate=0.5)
    assert sure is not None
    assert sure.text == (
        "Decided after 9 rankings: the candidate is better. 8 won, 1 tied, 0 lost: win rate 94% "
        "(50% is wanted), of those decided 52% to 100% (95%)."
    )
    limit = decide(Standing(3, 0, 2), limit=5, min_win_rate=0.7)
    assert limit is not None
    assert limit.text.startswith("It reached its limit after 5 rankings without certainty")
