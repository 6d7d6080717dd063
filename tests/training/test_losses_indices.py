import pytest
import torch
from torch import tensor
from torch.testing import assert_close

from training.engine.groups import Group, Pair, Ranking
from training.engine.losses.indices import (
    choice_tensors,
    choice_weight,
    pair_tensors,
    pair_weight,
)
from training.engine.losses.listwise import choice_losses, plackett_luce
from training.engine.losses.metrics import pair_metrics
from training.engine.losses.pairwise import sigmoid
from training.engine.packing import pack

# Two of three ranked by two labelers, the second of half the weight, who ties the first two.
THREE = Group(
    "three",
    (1, 2),
    ((3,), (4, 5), (6,)),
    (
        Ranking(((1,), (0,), (2,)), (Pair(1, 0), Pair(1, 2, margin=3.0), Pair(0, 2))),
        Ranking(((0, 1), (2,)), (Pair(0, 1, 0.5), Pair(0, 2), Pair(1, 2), Pair(1, 2)), 0.5),
    ),
)
# One tier, ties dropped: a ranking that says nothing.
SILENT = Group("silent", (1,), ((2,), (3,)), (Ranking(((0, 1),), ()),))
TWO = Group("two", (1,), ((2,), (3,)), (Ranking(((1,), (0,)), (Pair(1, 0),), 2.0),))
PACK = pack([THREE, SILENT, TWO])
SCORES = tensor([0.5, 1.0, -1.0, 0.1, 0.2, 0.4, 0.3])


def test_completions_are_numbered_over_the_groups_of_a_pack() -> None:
    pairs = pair_tensors(PACK)

    assert pairs.winners.tolist() == [1, 1, 0, 0, 0, 1, 1, 6]
    assert pairs.losers.tolist() == [0, 2, 2, 1, 2, 2, 2, 5]
    assert pairs.targets.tolist() == [1, 1, 1, 0.5, 1, 1, 1, 1]
    assert pairs.margins.tolist() == [0, 3, 0, 0, 0, 0, 0, 0]
    # 1 / 3 pairs, 0.5 / 4 pairs, 2 / 1 pair
    assert_close(pairs.weights, tensor([1 / 3] * 3 + [0.125] * 4 + [2.0]))


def test_choices_are_padded_to_the_largest_set() -> None:
    made = choice_tensors(PACK)

    assert made.chosen.tolist() == [1, 0, 0, 1, 6]
    sets = [
        members[present].tolist()
        for members, present in zip(made.members, made.present, strict=True)
    ]
    assert sets == [[1, 0, 2], [0, 2], [0, 2], [1, 2], [6, 5]]
    assert_close(made.weights, tensor([0.5, 0.5, 0.25, 0.25, 2.0]))


def test_a_ranking_that_says_nothing_has_no_weight() -> None:
    assert pair_weight(PACK) == choice_weight(PACK) == 1 + 0.5 + 2
    assert pair_tensors(PACK).weights.sum().item() == pytest.approx(3.5)
    assert choice_tensors(PACK).weights.sum().item() == pytest.approx(3.5)


def test_a_pack_at_once_is_the_sum_over_rankings_of_the_mean_over_pairs() -> None:
    pairs = pair_tensors(PACK)
    at_once = sigmoid(pairs.differences(SCORES), pairs.targets) @ pairs.weights

    one_by_one = torch.zeros(())
    for group, scores in ((THREE, SCORES[:3]), (TWO, SCORES[5:])):
        for ranking in group.rankings:
            of = [(pair.winner, pair.loser, pair.target) for pair in ranking.pairs]
            winners, losers, targets = (list(column) for column in zip(*of, strict=True))
            losses = sigmoid(scores[winners] - scores[losers], tensor(targets))
            one_by_one += ranking.weight * losses.mean()

    assert_close(at_once, one_by_one)


def test_the_choices_of_a_pack_are_the_sum_over_its_rankings() -> None:
    made = choice_tensors(PACK)
    at_once = choice_losses(SCORES, made) @ made.weights

    one_by_one = sum(
        ranking.weight * plackett_luce(scores, ranking.tiers)
        for group, scores in ((THREE, SCORES[:3]), (SILENT, SCORES[3:5]), (TWO, SCORES[5:]))
        for ranking in group.rankings
    )

    assert_close(at_once, one_by_one)


def test_a_pack_without_pairs_has_a_loss_of_nought() -> None:
    scores = SCORES[3:5].clone().requires_grad_()
    pairs, made = pair_tensors(SILENT), choice_tensors(pack([SILENT]))

    loss = sigmoid(pairs.differences(scores), pairs.targets) @ pairs.weights
    loss = loss + choice_losses(scores, made) @ made.weights
    (slope,) = torch.autograd.grad(loss, scores)

    assert loss.item() == 0
    assert pair_weight(SILENT) == 0
    assert_close(slope, torch.zeros(2))


def test_metrics_leave_ties_out() -> None:
    found = pair_metrics(SCORES, pair_tensors(THREE))

    # Strict pairs: 1-0, 1-2, 0-2, 0-2, 1-2, 1-2, all right.
    assert {count.item() for _, count in found.values()} == {6}
    assert found["accuracy"][0].item() == 6
    # 0.5 + 2 + 1.5 + 1.5 + 2 + 2; chosen 1 + 1 + .5 + .5 + 1 + 1; rejected .5 - 5
    assert found["margin"][0].item() == pytest.approx(9.5)
    assert found["chosen"][0].item() == pytest.approx(5.0)
    assert found["rejected"][0].item() == pytest.approx(-4.5)


def test_equal_scores_are_half_right() -> None:
    found = pair_metrics(tensor([0.0, 1.0, 1.0]), pair_tensors(THREE))

    # 1-0 right, 1-2 a half (three times), 0-2 wrong (twice)
    assert found["accuracy"][0].item() == pytest.approx(2.5)
