"""Answers by transformers from the actor itself."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.training.asked import END, PROMPTS, SAMPLING
from tests.training.tiny import CAUSAL_KINDS, tiny_model
from training.engine.groups import Group
from training.engine.head import head_logprobs
from training.engine.packing import pack
from training.engine.ppo.rollouts import Answer, Local, Sampling
from training.engine.scorers import LogProbs


def local(budget: int = 10_000, kind: str = "llama", **changes: Any) -> Local:
    settings = {**{name: getattr(SAMPLING, name) for name in SAMPLING.__slots__}, **changes}
    model = tiny_model(kind)
    with torch.no_grad():
        model.lm_head.weight[END] = model.lm_head.weight.mean(0) * 3
    return Local(model, Sampling(**settings), budget)


def flat(sampled: Sequence[Sequence[Answer]]) -> list[Answer]:
    return [one for of in sampled for one in of]


def test_its_log_probabilities_are_those_of_the_model() -> None:
    """At the temperature of sampling, the end token too, padding or not."""
    sampler = local()
    scorer = LogProbs(sampler._model, "unpacked")
    for prompt, answers in zip(PROMPTS, sampler.sample(PROMPTS, 5), strict=True):
        packed = pack([Group("g", prompt, tuple(one.tokens for one in answers))])
        with torch.no_grad():
            hidden, predictors, _ = scorer.hidden(packed)
            weight = sampler._model.lm_head.weight
            found = head_logprobs(hidden[predictors], weight, packed.targets, scale=1 / 0.8)
        said = torch.tensor([one for answer in answers for one in answer.logprobs])
        torch.testing.assert_close(said, found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", CAUSAL_KINDS)
def test_a_prompt_is_encoded_once_for_all_of_its_answers(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answers as when each row has its own, of prompts of unequal lengths."""
    shared, alone = local(kind=kind, samples=4), local(kind=kind, samples=4)
    rows: list[tuple[int, ...]] = []
    shared._model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: rows.append(tuple(given[0].shape))
    )
    monkeypatch.setattr(alone, "_encoded", lambda *_: None)
    found, expected = shared.sample(PROMPTS, 5), alone.sample(PROMPTS, 5)
    for one, other in zip(flat(found), flat(expected), strict=True):
        assert (one.tokens, one.finished) == (other.tokens, other.finished)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)
    assert rows[:2] == [(3, max(map(len, PROMPTS)) - 1), (12, 1)]


def test_an_answer_ends_with_its_end_or_is_cut() -> None:
    answers = [one for of in local(samples=20).sample(PROMPTS, 1) for one in of]
    assert {one.finished for one in answers} == {True, False}
    for one in answers:
        assert one.finished == (one.tokens[-1] == END)
        assert END not in one.tokens[:-1]
        assert len(one.tokens) == len(one.logprobs)
        assert one.finished or len(one.tokens) == 12


def test_padding_with_the_end_token_changes_nothing() -> None:
    """SmolLM2 pads with the token that ends a turn."""
    assert local(pad=END).sample(PROMPTS, 3) == local(pad=0).sample(PROMPTS, 3)


def test_a_seed_gives_the_same_answers_and_leaves_the_random_state() -> None:
    sampler, before = local(), torch.get_rng_state()
    assert sampler.sample(PROMPTS, 3) == sampler.sample(PROMPTS, 3)
    assert sampler.sample(PROMPTS, 3) != sampler.sample(PROMPTS, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_samples_from_the_distribution_at_its_temperature() -> None:
    """1,200 first tokens: their shares are the probabilities, within four deviations."""
    sampler = local(samples=1200, max_new_tokens=1)
    firsts = torch.tensor([one.tokens[0] for one in sampler.sample(PROMPTS[:1], 0)[0]])
    with torch.no_grad():
        logits = sampler._model(torch.tensor([PROMPTS[0]])).logits[0, -1]
    chances = (logits / 0.8).softmax(-1)
    shares = firsts.bincount(minlength=len(chances)) / 1200
    assert ((shares - chances).abs() < 4 * (chances / 1200).sqrt() + 2e-3).all()


def test_a_budget_makes_smaller_batches_and_the_same_answers() -> None:
    sampler = local(budget=40)
    rows = [len(prompt) for prompt in PROMPTS for _ in range(2)]
    made = sampler._batches(sorted(range(6), key=lambda n: rows[n]), [(1,) * n for n in rows])
    assert [len(batch) for batch in made] == [2, 2, 1, 1]
    found, expected = sampler.sample(PROMPTS, 0), local().sample(PROMPTS, 0)
    assert [[one.tokens for one in of] for of in found] == [
        [one.tokens for one in of] for of in expected
    ]
