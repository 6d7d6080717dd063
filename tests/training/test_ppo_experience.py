"""From what the roles say to what is learned, worked by hand; the table that shows it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from training.engine.data import Prompt
from training.engine.errors import SpecError
from training.engine.ppo.advantages import alone
from training.engine.ppo.experience import Learned, Measured, learn_from, refuse_strangers
from training.engine.ppo.rewards import Answered
from training.engine.ppo.rollouts import Answer
from training.engine.ppo.scale import Scale
from training.engine.ppo.table import Table, rows
from training.engine.spec import PPO

HALF, QUARTER = math.log(0.5), math.log(0.25)
PROMPT = Prompt("p", [{"role": "user", "content": "Why?"}], (7, 8))
# Two tokens with an end, the first of which the sampler found half as likely; one that was cut off.
ASKED = Answered(
    PROMPT,
    (Answer((5, 2), True, (QUARTER, HALF)), Answer((6,), False, (HALF,))),
    ("Because.", "So"),
)
FOUND = Measured(
    counts=tensor([2, 1]),
    old=tensor([HALF, HALF, HALF]),
    plain=tensor([QUARTER, HALF, QUARTER]),
    entropies=tensor([1.0, 2.0, 3.0]),
    reference=tensor([QUARTER, HALF, 0.0]),
    values=torch.zeros(3),
    rewards={"reward_0": tensor([3.0, 1.0]), "reward": tensor([3.0, 1.0])},
)
SETTINGS = PPO(
    rewards=("a",), samples=2, whiten=False, lam=1.0, missing_end_penalty=0.5, kl_estimator="k1"
)
LN2 = math.log(2)


def learned(found: Measured = FOUND, **changes: Any) -> Learned:
    return learn_from(
        [ASKED],
        found,
        SETTINGS.model_copy(update=changes),
        coefficient=0.1,
        scale=Scale(mean=1.0, deviation=2.0),
        processes=alone,
    )


def test_scores_divergence_and_returns() -> None:
    found = learned()
    # (3 - 1) / 2, and (1 - 1) / 2 less the penalty
    torch.testing.assert_close(found.scores, tensor([1.0, -0.5]))
    torch.testing.assert_close(found.kl, tensor([LN2, -LN2]))
    (one,) = found.experiences
    # Everything that is still to come: both tokens' penalties, and the score at the end.
    expected = tensor([1 - 0.1 * LN2, 1.0, -0.5 + 0.1 * LN2])
    torch.testing.assert_close(one.returns, expected)
    torch.testing.assert_close(one.advantages, expected)
    torch.testing.assert_close(one.importance, tensor([2.0, 1.0, 1.0]))
    assert found.means["kl"] == pytest.approx((0.0, 2.0), abs=1e-6)
    assert found.means["end_rate"] == (1.0, 2.0)
    assert found.means["length"] == (3.0, 2.0)
    # Of three tokens one differs, by -ln 2
    assert found.means["mismatch_kl"] == pytest.approx((-LN2, 3.0))


@pytest.mark.parametrize("estimator", ["k1", "k3"])
@pytest.mark.parametrize("apart", [0.03, 0.1, 0.3, 1.0])
def test_tokens_pay_what_holds_the_policy_to_its_reference(estimator: str, apart: float) -> None:
    """Exact, over all actions of a categorical: the policy gradient of what tokens pay is that of
    -β KL(p || q), at whatever distance. k3 as a reward has next to none of it near the reference.
    """
    draw = torch.Generator().manual_seed(11)
    logits = torch.randn(7, generator=draw, dtype=torch.double, requires_grad=True)
    moved = apart * torch.randn(7, generator=draw, dtype=torch.double)
    p, q = logits.log_softmax(-1), (logits.detach() + moved).log_softmax(-1)
    divergence = (p.exp() * (p - q)).sum()
    (wanted,) = torch.autograd.grad(-0.1 * divergence, logits, retain_graph=True)
    prompts = [
        Answered(PROMPT, (Answer((action,), True, (logprob,)),), ("",))
        for action, logprob in enumerate(p.tolist())
    ]
    zeros = torch.zeros(7, dtype=torch.double)
    said = Measured(
        counts=torch.ones(7, dtype=torch.long),
        old=p.detach(),
        plain=p.detach(),
        entropies=zeros,
        reference=q,
        values=zeros,
        rewards={"reward": zeros},
    )
    settings = SETTINGS.model_copy(update={"kl_estimator": estimator, "samples": 1})
    found = learn_from(prompts, said, settings, coefficient=0.1, scale=Scale(), processes=alone)
    advantages = torch.cat([one.advantages for one in found.experiences]).double()
    surrogate = (p.exp().detach() * advantages * p).sum()
    (slope,) = torch.autograd.grad(surrogate, logits)
    torch.testing.assert_close(slope, wanted, rtol=1e-4, atol=1e-7)
    # What is measured is as asked for; both estimate the same value.
    measured = (p.exp().detach() * found.kl).sum()
    assert float(measured) == pytest.approx(divergence.item(), rel=1e-3)
    assert (estimator == "k1") == bool((found.kl < 0).any())


def test_rloo_compares_whole_answers() -> None:
    (one,) = learned(baseline="rloo").experiences
    first, second = 1 - 0.1 * LN2, -0.5 + 0.1 * LN2
    gain = first - second
    torch.testing.assert_close(one.advantages, tensor([gain, gain, -gain]))


def test_other_temperatures_are_compared_and_not_corrected() -> None:
    """What the sampler says at temperature 1 is no probability of what was sampled at another.

    Which of the two it says, is seen by which of the trainer's own is nearer.
    """
    assert learned().tempered
    found = learned(replace(FOUND, plain=tensor([QUARTER, HALF, HALF + 0.1])))
    assert not found.tempered
    assert torch.equal(found.experiences[0].importance, torch.ones(3))
    assert found.means["mismatch_kl"] == pytest.approx((-0.1, 3.0), abs=1e-6)


def test_whitened_advantages_have_mean_zero() -> None:
    (one,) = learned(whiten=True).experiences
    assert one.advantages.mean().abs() < 1e-6
    assert one.advantages.std(correction=0) == pytest.approx(1, abs=1e-4)


def test_another_model_on_the_server_is_refused() -> None:
    refuse_strangers(0.2)
    with pytest.raises(SpecError, match="not the policy's own"):
        refuse_strangers(3.0)


def test_a_line_of_the_table() -> None:
    first, second = rows(4, [ASKED], FOUND, learned())
    assert first == {
        "step": 4,
        "prompt": [{"role": "user", "content": "Why?"}],
        "answer": "Because.",
        "finished": True,
        "tokens": 2,
        "reward": 3.0,
        "rewards": {"reward_0": 3.0},
        "score": 1.0,
        "kl": round(LN2, 4),
        "values": [0.0, 0.0],
    }
    assert (second["answer"], second["finished"], second["values"]) == ("So", False, [0.0])


def test_a_table_that_goes_on_repeats_nothing(tmp_path: Path) -> None:
    place = tmp_path / "rollouts.jsonl"
    table = Table(place)
    for step in (1, 2, 3):
        table.add(step, [{"step": step, "go": "first"}])
    with place.open("a") as file:
        file.write('{"step": 3, "go": "fir')
    again = Table(place)
    again.add(3, [{"step": 3, "go": "second"}])
    again.add(4, [{"step": 4, "go": "second"}])
    found = [json.loads(line) for line in place.read_text().splitlines()]
    assert [(one["step"], one["go"]) for one in found] == [
        (1, "first"),
        (2, "first"),
        (3, "second"),
        (4, "second"),
    ]
    assert [one.name for one in tmp_path.iterdir()] == ["rollouts.jsonl"]


def test_a_prompt_with_its_answers_is_a_group() -> None:
    assert ASKED.group.completions == ((5, 2), (6,))
    assert replace(ASKED, answers=ASKED.answers[:1]).group.tokens == 4
