from math import log
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, tensor
from torch.testing import assert_close

from tests.training.data.samples import load, write
from tests.training.data.samples import ranking as ranking_row
from training.engine.losses.indices import choice_tensors, choice_weight
from training.engine.losses.listwise import choice_losses, plackett_luce
from training.engine.losses.pairwise import sigmoid
from training.engine.spec import Method

Tiers = tuple[tuple[int, ...], ...]
score = st.floats(-20, 20)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[Tensor, Tiers]:
    scores = draw(st.lists(score, min_size=2, max_size=7))
    order = draw(st.permutations(range(len(scores))))
    cuts = sorted(draw(st.sets(st.integers(1, len(scores) - 1))))
    spans = zip([0, *cuts], [*cuts, len(scores)], strict=True)
    tiers = tuple(tuple(order[start:stop]) for start, stop in spans)
    return tensor(scores, dtype=torch.double), tiers


def test_three_worked_by_hand() -> None:
    # e^score: 3, 2, 1. The first is chosen of all with 3/6, the second of the rest with 2/3.
    scores = tensor([3.0, 2.0, 1.0]).log()

    loss = plackett_luce(scores, ((0,), (1,), (2,)))

    assert loss.item() == pytest.approx((log(6 / 3) + log(3 / 2)) / 2)


def test_the_same_upside_down() -> None:
    # 1/6, then 2/5
    scores = tensor([3.0, 2.0, 1.0]).log()

    loss = plackett_luce(scores, ((2,), (1,), (0,)))

    assert loss.item() == pytest.approx((log(6 / 1) + log(5 / 2)) / 2)


def test_equals_never_compete() -> None:
    # e^score: 3, 2, 1, 5. 0 and 1 tie above 2 and 3, which tie: 3/(3+1+5) and 2/(2+1+5).
    scores = tensor([3.0, 2.0, 1.0, 5.0]).log()

    loss = plackett_luce(scores, ((0, 1), (2, 3)))

    assert loss.item() == pytest.approx((log(9 / 3) + log(8 / 2)) / 2)


def test_an_unacceptable_completion_is_never_chosen_where_it_wins_nothing(tmp_path: Path) -> None:
    """In the tier of an acceptable one, and above one; it stays a rival. By hand: softmaxes."""
    rows = [
        ranking_row(1, tiers=[[0, 1], [2]], strengths=[], unacceptable=[False, True, False]),
        ranking_row(2, tiers=[[1], [0], [2]], strengths=[], unacceptable=[False, True, False]),
        ranking_row(3, tiers=[[0], [1], [2]], strengths=[], unacceptable=[False, True, False]),
    ]
    file = write(tmp_path / "rankings.jsonl", rows)
    scores = tensor([2.0, 3.0, 5.0]).log()
    losses = {}
    for unacceptable in ("keep", "drop_winners"):
        found = load(Method.DPO, rankings=[file], unacceptable=unacceptable).train
        made = [choice_tensors(group) for group in found]
        losses[unacceptable] = [float(choice_losses(scores, one) @ one.weights) for one in made]
        assert [choice_weight(group) for group in found] == [1, 1, 1]
    zero_of_two, zero_of_all = log(7 / 2), log(10 / 2)
    one_of_two, one_of_all = log(8 / 3), log(10 / 3)
    assert losses["drop_winners"] == pytest.approx([zero_of_two, zero_of_two, zero_of_all])
    assert losses["keep"] == pytest.approx(
        [
            (zero_of_two + one_of_two) / 2,
            (one_of_all + zero_of_two) / 2,
            (zero_of_all + one_of_two) / 2,
        ]
    )


def test_a_single_tier_says_nothing() -> None:
    scores = tensor([1.0, 2.0], requires_grad=True)

    loss = plackett_luce(scores, ((0, 1),))
    (slope,) = torch.autograd.grad(loss, scores)

    assert loss.item() == 0
    assert_close(slope, torch.zeros(2))


@given(score, score)
def test_of_two_it_is_the_pairwise_loss(one: float, other: float) -> None:
    scores = tensor([one, other], dtype=torch.double)

    pairwise = sigmoid(scores[:1] - scores[1:], torch.ones(1, dtype=torch.double))

    assert_close(plackett_luce(scores, ((0,), (1,))), pairwise[0])


@given(rankings(), score)
def test_only_differences_count(ranking: tuple[Tensor, Tiers], shift: float) -> None:
    scores, tiers = ranking

    assert_close(plackett_luce(scores + shift, tiers), plackett_luce(scores, tiers))


@given(rankings(), st.integers(0, 1000))
def test_numbering_the_completions_otherwise_changes_nothing(
    ranking: tuple[Tensor, Tiers], seed: int
) -> None:
    scores, tiers = ranking
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
    place = order.argsort()

    renamed = tuple(tuple(int(place[member]) for member in tier) for tier in tiers)

    assert_close(plackett_luce(scores[order], renamed), plackett_luce(scores, tiers))


@given(rankings(), st.floats(0.01, 5))
def test_a_better_score_of_the_best_costs_less(ranking: tuple[Tensor, Tiers], more: float) -> None:
    scores, tiers = ranking
    if len(tiers) == 1:
        return
    raised = scores.clone()
    raised[list(tiers[0])] += more

    assert plackett_luce(raised, tiers) <= plackett_luce(scores, tiers)


def test_it_is_finite_far_out() -> None:
    scores = tensor([1e4, -1e4, 0.0], requires_grad=True)

    loss = plackett_luce(scores, ((1,), (2,), (0,)))
    (slope,) = torch.autograd.grad(loss, scores)

    # The best is 20,000 below the top, the second 10,000.
    assert loss.item() == pytest.approx(15000)
    assert_close(slope, tensor([1.0, -0.5, -0.5]))


def test_gradients() -> None:
    scores = torch.randn(5, dtype=torch.double, generator=torch.Generator().manual_seed(1))

    assert torch.autograd.gradcheck(
        lambda s: plackett_luce(s, ((4,), (0, 2), (1, 3))), scores.requires_grad_()
    )
