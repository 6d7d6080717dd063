"""Training on a ranking as it is has the gradient of training on the pairs that it implies."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.functional import logsigmoid

from tests.training.packs import tokens
from tests.training.tiny import tiny_model
from training.engine.attention import BLOCKS
from training.engine.fused import fuse
from training.engine.groups import Group, Pair, Ranking
from training.engine.methods.dpo import Preference
from training.engine.methods.reward import RewardModel
from training.engine.objective import Objective
from training.engine.packing import Pack, pack
from training.engine.reward_head import RewardHead
from training.engine.scorers import LogProbs, Rewards
from training.engine.spec import DPO, Reward

KINDS = ("llama", "gpt2", "mistral")
BETA = 0.3
REFERENCE = -2.0  # of every token
# Best first: 2, then 0 and 3 tied, then 1.
PAIRS = (
    Pair(2, 0, margin=1.0),
    Pair(2, 3, margin=1.0),
    Pair(2, 1, margin=3.0),
    Pair(0, 3, target=0.5),
    Pair(0, 1, margin=2.0),
    Pair(3, 1, margin=2.0),
)
GROUP = Group(
    "four",
    tokens(7, 1),
    (tokens(5, 2), tokens(3, 3), tokens(8, 4), tokens(4, 5)),
    (Ranking(((2,), (0, 3), (1,)), PAIRS),),
)


def model_of(kind: str) -> Any:
    torch.manual_seed(1)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(tiny_model(kind), lora)


def log_ratio(model: Any, completion: tuple[int, ...]) -> Tensor:
    """log pi - log pi_ref of a completion by a plain forward with its prompt."""
    ids = torch.tensor([GROUP.prompt + completion])
    logits = model(input_ids=ids).logits[0, len(GROUP.prompt) - 1 : -1].log_softmax(dim=-1)
    found: Tensor = logits.gather(1, torch.tensor(completion)[:, None])
    return (found - REFERENCE).sum()


def reward(model: Any, head: RewardHead, completion: tuple[int, ...]) -> Tensor:
    ids = torch.tensor([GROUP.prompt + completion])
    score: Tensor = head(model.get_base_model().base_model(input_ids=ids).last_hidden_state[0, -1])
    return score


def expanded(score: Callable[[tuple[int, ...]], Tensor], *, margins: bool) -> Tensor:
    """Mean over the pairs, both sides of each encoded anew (DPO eq. 7, Llama 2 eq. 2)."""
    losses = []
    for pair in PAIRS:
        won, lost = (score(GROUP.completions[place]) for place in (pair.winner, pair.loser))
        margin = pair.margin if margins else 0.0
        right, wrong = logsigmoid(won - lost - margin), logsigmoid(lost - won - margin)
        losses.append(-(pair.target * right + (1 - pair.target) * wrong))
    return torch.stack(losses).mean()


def packed_loss(objective: Objective) -> Tensor:
    packed = pack([GROUP])
    outcome = objective(objective.scorer(packed), packed)
    return outcome.loss / objective.weight([GROUP])


def gradients(loss: Tensor, *modules: torch.nn.Module) -> Tensor:
    trained = [one for module in modules for one in module.parameters() if one.requires_grad]
    return torch.cat([one.flatten() for one in torch.autograd.grad(loss, trained)])


def in_blocks(model: Any) -> Any:
    model.get_base_model().set_attn_implementation(BLOCKS)
    assert fuse(model) > 0
    return model


def reference(packed: Pack) -> Tensor:
    return torch.full(packed.targets.shape, REFERENCE)


@pytest.mark.parametrize("kind", KINDS)
def test_dpo(kind: str) -> None:
    model = model_of(kind)
    wanted = expanded(lambda completion: BETA * log_ratio(model, completion), margins=False)
    slopes = gradients(wanted, model)
    scorer = LogProbs(in_blocks(model), "packed")
    found = packed_loss(Preference(scorer, reference, DPO(beta=BETA)))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert (gradients(found, model) - slopes).norm() / slopes.norm() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_reward_model(kind: str) -> None:
    model, head = model_of(kind), RewardHead(32, seed=3)
    wanted = expanded(lambda completion: reward(model, head, completion), margins=True)
    slopes = gradients(wanted, model, head)
    scorer = Rewards(in_blocks(model), head, "packed")
    found = packed_loss(RewardModel(scorer, Reward()))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert (gradients(found, model, head) - slopes).norm() / slopes.norm() < 1e-4
