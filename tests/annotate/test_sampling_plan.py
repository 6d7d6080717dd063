"""Which source writes which completion: fixed for each task, and as even as the weights allow."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.services.sampling_plan import cycle, sources_of

WEIGHTS = st.lists(st.integers(1, 100), min_size=1, max_size=9)
K = st.integers(2, 9)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1,), (0,)),
        ((1, 1), (0, 1)),
        ((2, 1), (0, 1, 0)),
        ((3, 1), (0, 0, 1, 0)),
        ((1, 1, 2), (2, 0, 1, 2)),
        ((5, 1, 1), (0, 0, 1, 0, 2, 0, 0)),
    ],
)
def test_worked_by_hand(weights: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert cycle(weights) == expected


@given(WEIGHTS)
def test_a_cycle_gives_everybody_their_weight(weights: list[int]) -> None:
    counts = Counter(cycle(tuple(weights)))
    assert [counts[index] for index in range(len(weights))] == weights


@given(WEIGHTS)
def test_no_source_ever_runs_far_ahead_of_its_share(weights: list[int]) -> None:
    """After n completions each has n·w/W of them, give or take less than the other sources."""
    total, counts = sum(weights), [0] * len(weights)
    for n, index in enumerate(cycle(tuple(weights)), start=1):
        counts[index] += 1
        for have, weight in zip(counts, weights, strict=True):
            assert abs(have - n * weight / total) < max(1, len(weights) - 1)


@given(WEIGHTS, K, st.integers(0, 10_000))
def test_the_same_task_gets_the_same_plan(weights: list[int], k: int, position: int) -> None:
    plan = sources_of(position, k, weights)
    assert plan == sources_of(position, k, tuple(weights))
    assert len(plan) == k
    assert set(plan) <= set(range(len(weights)))


@given(WEIGHTS, K)
def test_tasks_in_a_row_follow_the_cycle(weights: list[int], k: int) -> None:
    total = sum(weights)
    plans = [source for position in range(total) for source in sources_of(position, k, weights)]
    counts = Counter(plans)
    assert [counts[index] for index in range(len(weights))] == [weight * k for weight in weights]


@given(st.integers(1, 9), st.integers(1, 100), K)
def test_equal_sources_share_each_task_evenly(sources: int, weight: int, k: int) -> None:
    counts = Counter(sources_of(7, k, [weight] * sources))
    assert max(counts.values()) - min(counts[index] for index in range(sources)) <= 1
