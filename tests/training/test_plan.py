"""Steps and packs: everything once an epoch, under the budget, the same from the same seed."""

from hypothesis import given
from hypothesis import strategies as st

from training.engine.plan import Plan, whole_steps

SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=40).map(tuple)


@given(
    sizes=SIZES,
    per_step=st.integers(1, 10),
    budget=st.integers(1, 120),
    seed=st.integers(0, 5),
    ranks=st.integers(1, 4),
)
def test_an_epoch_holds_every_group_once(
    sizes: tuple[int, ...], per_step: int, budget: int, seed: int, ranks: int
) -> None:
    plan = Plan(sizes, per_step, budget, steps=100, seed=seed, ranks=ranks)
    seen: list[int] = []
    for step in range(plan.steps_per_epoch):
        packs = [plan.packs(step, rank) for rank in range(ranks)]
        assert len({len(mine) for mine in packs}) == 1, "every process runs as many packs"
        of_step = [index for mine in packs for one in mine for index in one]
        assert sorted(of_step) == sorted(plan.groups(step))
        seen += of_step
        for one in (one for mine in packs for one in mine):
            assert len(one) <= 1 or sum(sizes[index] for index in one) <= budget
    assert sorted(seen) == list(range(len(sizes)))


def test_the_next_epoch_is_in_another_order_and_the_same_again() -> None:
    plan = Plan(tuple([5] * 30), 10, 100, steps=6, seed=3)
    first = [plan.groups(step) for step in range(3)]
    second = [plan.groups(step) for step in range(3, 6)]
    assert first != second
    again = Plan(tuple([5] * 30), 10, 100, steps=6, seed=3)
    assert [again.groups(step) for step in range(6)] == first + second


def test_the_longest_come_first_and_fill_the_packs() -> None:
    plan = Plan((30, 60, 50, 40, 20), 5, 100, steps=1, seed=0)
    sizes = [[plan.sizes[index] for index in one] for one in plan.packs(0)]
    assert sizes == [[60, 40], [50, 30, 20]]


def test_how_many_steps_a_run_has() -> None:
    assert whole_steps(20, 8, 1.0, None) == 3
    assert whole_steps(20, 8, 2.0, None) == 6  # each epoch ends with a step of four groups
    assert whole_steps(5, 8, 3.0, None) == 3
    assert whole_steps(30, 1, 0.1, None) == 3
    assert whole_steps(20, 8, None, 7) == 7
    assert whole_steps(20, 8, 0.01, None) == 1


@given(sizes=SIZES, per_step=st.integers(1, 10), steps=st.integers(1, 60))
def test_what_is_used_is_what_the_steps_take(
    sizes: tuple[int, ...], per_step: int, steps: int
) -> None:
    plan = Plan(sizes, per_step, 100, steps=steps, seed=1)
    taken = {number for step in range(steps) for one in plan.packs(step) for number in one}
    assert plan.used() == sorted(taken)
