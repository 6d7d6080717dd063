"""Ratings by hand, by simulation, and what no order of the comparisons may change."""

import math
import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.ranking.bradley_terry import ANCHORED_AT, Standing, Tally, standings, strengths

FEW = 40  # resamples, where intervals do not matter


def rated(*tallies: Tally, models: int = 2, anchor: int | None = None) -> list[Standing]:
    return standings(tallies, models, anchor=anchor, resamples=FEW)


def likelihood(theta: list[float], tallies: list[Tally]) -> float:
    """The log-likelihood of the formula, term by term."""

    def chance(lead: float) -> float:
        return -math.log1p(math.exp(-lead))

    said = sum(
        count * (chance(theta[winner] - theta[loser]) + chance(theta[loser] - theta[winner])) / 2
        if tie
        else count * chance(theta[winner] - theta[loser])
        for _, winner, loser, tie, count in tallies
    )
    return said + sum(chance(each) + chance(-each) for each in theta)


def test_five_to_nothing_by_hand() -> None:
    # θ = ±d/2. The gradient 5 + 1 - 5σ(d) - 2σ(d/2) is 0 where exp(d/2) = 3: 6 - 4.5 - 1.5.
    better, worse = rated(Tally(1, 0, 1, False, 5), anchor=1)
    assert worse.rating == ANCHORED_AT
    assert better.rating - worse.rating == pytest.approx(800 * math.log10(3), abs=1e-4)
    assert (better.wins, better.ties, better.losses) == (5, 0, 0)
    assert (worse.wins, worse.ties, worse.losses) == (0, 0, 5)


def test_without_a_prior_three_to_one_are_191_points() -> None:
    wins = np.array([[[0.0, 3.0], [1.0, 0.0]]])
    (theta,) = strengths(wins, prior_wins=1e-9, prior_losses=1e-9)
    assert theta[0] - theta[1] == pytest.approx(math.log(3), abs=1e-6)
    assert 400 / math.log(10) * math.log(3) == pytest.approx(190.85, abs=0.01)


def test_a_tie_is_half_a_win_of_both() -> None:
    first, second = rated(Tally(1, 1, 0, True, 4))
    assert first.rating == second.rating == pytest.approx(ANCHORED_AT)
    assert (first.wins, first.ties, first.losses) == (0, 4, 0)
    tied = rated(Tally(1, 0, 1, False, 2), Tally(1, 0, 1, True, 2))
    counted = rated(Tally(1, 0, 1, False, 3), Tally(1, 1, 0, False, 1))
    assert [each.rating for each in tied] == pytest.approx([each.rating for each in counted])


def test_who_met_nobody_and_who_won_everything_have_finite_ratings() -> None:
    alone, best, other = rated(Tally(1, 1, 2, False, 100_000), models=3)
    assert alone.rating == pytest.approx(ANCHORED_AT)
    assert alone.low < ANCHORED_AT < alone.high
    assert ANCHORED_AT < best.low < best.rating < best.high < 6000
    assert other.rating == pytest.approx(2 * ANCHORED_AT - best.rating)


def test_two_groups_that_never_met() -> None:
    found = rated(Tally(1, 0, 1, False, 9), Tally(2, 2, 3, False, 9), models=4)
    assert found[0].rating == pytest.approx(found[2].rating)
    assert found[1].rating == pytest.approx(found[3].rating)


def test_nothing_compared() -> None:
    assert standings([], 0) == []
    (one,) = standings([], 1, anchor=0, resamples=FEW)
    assert (one.rating, one.low, one.high) == (ANCHORED_AT, ANCHORED_AT, ANCHORED_AT)


def test_a_model_against_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="compared with itself"):
        rated(Tally(1, 1, 1, False, 1))


def test_a_chain_of_winners_converges() -> None:
    chain = [Tally(link, link, link + 1, False, 100_000) for link in range(19)]
    ratings = [each.rating for each in rated(*chain, models=20)]
    assert ratings == sorted(ratings, reverse=True)
    assert all(map(math.isfinite, ratings))


def simulated(true: list[float], tasks: int, seed: int, per_task: int = 3) -> list[Tally]:
    """Comparisons by the model itself, θ = true."""
    draw = random.Random(seed)
    found = []
    for task in range(tasks):
        for _ in range(per_task):
            one, other = draw.sample(range(len(true)), 2)
            won = draw.random() < 1 / (1 + math.exp(true[other] - true[one]))
            found.append(Tally(task, *((one, other) if won else (other, one)), False, 1))
    return found


def test_known_strengths_are_recovered_and_mostly_inside_of_their_intervals() -> None:
    true = [0.0, 0.5, 1.0, -0.7, 0.2]
    points = [1000 + 400 / math.log(10) * each for each in true]
    inside = []
    for seed in range(12):
        found = standings(simulated(true, 700, seed), len(true), anchor=0, resamples=200)
        assert [each.rating for each in found] == pytest.approx(points, abs=75)
        inside += [
            each.low <= point <= each.high
            for each, point in zip(found[1:], points[1:], strict=True)
        ]
    assert 0.85 <= sum(inside) / len(inside) <= 1


def test_people_who_say_the_same_of_a_task_do_not_narrow_the_interval() -> None:
    alone = [Tally(task, task % 3 == 0, task % 3 != 0, False, 1) for task in range(60)]
    chorus = [tally._replace(times=10) for tally in alone]
    spread = [
        found[0].high - found[0].low
        for found in (standings(tallies, 2, anchor=1) for tallies in (alone, chorus))
    ]
    assert spread[1] > 0.9 * spread[0]


def test_the_interval_of_a_winner_of_everything_is_open_to_both_sides() -> None:
    best, _ = standings([Tally(task, 0, 1, False, 1) for task in range(5)], 2, anchor=1)
    assert best.low < best.rating < best.high
    assert best.high - best.low > 100


TALLIES = st.lists(
    st.builds(
        lambda task, pair, tie, count: Tally(task, pair[0], pair[1], tie, count),
        st.integers(1, 6),
        st.sampled_from([(a, b) for a in range(4) for b in range(4) if a != b]),
        st.booleans(),
        st.integers(1, 1000),
    ),
    max_size=30,
)


@given(TALLIES)
def test_it_is_the_likeliest(tallies: list[Tally]) -> None:
    wins = np.zeros((1, 4, 4))
    for _, winner, loser, tie, count in tallies:
        wins[0, winner, loser] += count * (0.5 if tie else 1)
        wins[0, loser, winner] += count * (0.5 if tie else 0)
    theta = strengths(wins)[0].tolist()
    best = likelihood(theta, tallies)
    for model in range(4):
        for way in (-0.01, 0.01):
            moved = [each + way * (place == model) for place, each in enumerate(theta)]
            assert likelihood(moved, tallies) < best


@given(TALLIES, st.randoms())
def test_the_order_of_what_was_said_does_not_matter(
    tallies: list[Tally], shuffle: random.Random
) -> None:
    mixed = tallies[:]
    shuffle.shuffle(mixed)
    assert standings(mixed, 4, anchor=1, resamples=3) == standings(
        tallies, 4, anchor=1, resamples=3
    )


@given(TALLIES, st.permutations(range(4)))
def test_the_order_of_the_models_does_not_matter(tallies: list[Tally], names: list[int]) -> None:
    renamed = [
        each._replace(winner=names[each.winner], loser=names[each.loser]) for each in tallies
    ]
    found = standings(tallies, 4, anchor=0, resamples=1)
    again = standings(renamed, 4, anchor=names[0], resamples=1)
    for model, other in enumerate(names):
        assert again[other].rating == pytest.approx(found[model].rating, abs=1e-3)
        assert again[other].wins == found[model].wins


@given(TALLIES)
def test_the_anchor_moves_all_alike(tallies: list[Tally]) -> None:
    free, tied = (standings(tallies, 4, anchor=each, resamples=1) for each in (None, 2))
    for one, other in combinations(range(4), 2):
        assert tied[one].rating - tied[other].rating == pytest.approx(
            free[one].rating - free[other].rating, abs=1e-6
        )
    assert tied[2].rating == ANCHORED_AT
