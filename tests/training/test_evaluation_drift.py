from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, tensor
from torch.testing import assert_close

from tests.training.judging import group
from tests.training.tiny import CAUSAL_KINDS, tiny_model
from training.engine.evaluation.drift import (
    k3,
    kl,
    kl_drift,
    kl_of_logits,
    length_drift,
    predictions,
)
from training.engine.evaluation.sampling import Decoding, Sample, sample
from training.engine.packing import pack
from training.engine.scorers import LogProbs

END = 2


def answer(length: int, *, finished: bool = True) -> Sample:
    return Sample((7,) * length, finished)


def test_kl_worked_by_hand() -> None:
    # (1/2, 1/2) against (1/4, 3/4): 1/2 log 2 + 1/2 log 2/3; the other way round 1/4 log 1/2 +
    # 3/4 log 3/2; of equal ones 0. Logits may be shifted.
    half, quarter = tensor([0.5, 0.5]).log(), tensor([0.25, 0.75]).log()

    found = kl_of_logits(
        torch.stack([half, quarter, half]), torch.stack([quarter + 5, half, half - 3])
    )

    expected = [(log(2) + log(2 / 3)) / 2, 0.25 * log(1 / 2) + 0.75 * log(3 / 2), 0.0]
    assert_close(found, tensor(expected))


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_change_nothing(chunk: int) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(7, 4, generator=generator) for _ in range(2))
    head = torch.nn.Linear(4, 11)

    found = kl(ours, theirs, head, head, chunk=chunk)

    assert_close(found, kl_of_logits(head(ours), head(theirs)))


@pytest.mark.parametrize("kind", CAUSAL_KINDS)
def test_the_drift_of_a_model_is_that_of_its_own_logits(kind: str) -> None:
    policy, reference = (tiny_model(kind, seed=seed) for seed in (0, 1))
    groups = [group(9, 3), group(8, 2)]

    found = kl_drift(
        [pack([one]) for one in groups],
        *(predictions(LogProbs(model, "unpacked")) for model in (policy, reference)),
    )

    rows = [(one.prompt, tokens) for one in groups for tokens in one.completions]
    sums = []
    for prompt, tokens in rows:
        ids = tensor([prompt + tokens])
        ours, theirs = (
            model(input_ids=ids).logits[0, len(prompt) - 1 : -1] for model in (policy, reference)
        )
        sums.append(kl_of_logits(ours, theirs).sum().item())
    assert found.tokens == 1 + 2 + 3 + 1 + 2
    assert found.per_token.value == pytest.approx(sum(sums) / 9, rel=1e-4)
    assert found.per_completion == pytest.approx(sum(sums) / 5, rel=1e-4)
    assert found.per_token.clusters == 5


def test_a_policy_that_has_not_moved() -> None:
    same = predictions(LogProbs(tiny_model("llama"), "unpacked"))

    found = kl_drift([pack([group(0, 2)])], same, same)

    assert found.per_token.value == pytest.approx(0, abs=1e-7)


def test_the_estimator_worked_by_hand() -> None:
    # p = 1/2, q = 1/4: 1/2 - 1 + log 2
    ours, theirs = tensor([log(1 / 2)]), tensor([log(1 / 4)])

    assert_close(k3(ours, theirs), tensor([log(2) - 0.5]))


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6))
def test_the_estimator_has_the_kl_as_its_mean(logits: list[float]) -> None:
    ours = tensor(logits, dtype=torch.double).log_softmax(0)
    theirs = torch.zeros_like(ours).log_softmax(0)
    exact = (ours.exp() * (ours - theirs)).sum()

    assert_close((ours.exp() * k3(ours, theirs)).sum(), exact)
    assert (k3(ours, theirs) >= 0).all()


def test_length_drift_worked_by_hand() -> None:
    trained = [answer(2), answer(4), answer(6)]
    base = [answer(5), answer(5), answer(8, finished=False)]

    found = length_drift(trained, base)

    assert (found.trained, found.base, found.difference.value) == (4, 6, -2)
    assert found.unfinished_trained == 0
    assert found.unfinished_base == pytest.approx(1 / 3)


def greedy(most: int, ends: tuple[int, ...] = (END,), batch: int = 8) -> Decoding:
    return Decoding(most, ends=ends, pad=0, temperature=0, batch=batch)


def test_answers_are_those_of_the_model_alone_however_they_are_batched() -> None:
    model = tiny_model("llama")
    prompts = [(9, 8, 7, 6), (5,), (20, 30)]

    found = sample(model, prompts, greedy(5, batch=2))

    for prompt, one in zip(prompts, found, strict=True):
        assert one.tokens == likeliest(model, prompt, 5)[: one.length]
        assert one.finished == (END in likeliest(model, prompt, 5))


def likeliest(model: torch.nn.Module, prompt: tuple[int, ...], most: int) -> tuple[int, ...]:
    ids = list(prompt)
    for _ in range(most):
        logits: Tensor = model(input_ids=tensor([ids])).logits
        ids.append(int(logits[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


def test_an_answer_stops_before_its_end_token() -> None:
    model = tiny_model("llama")
    whole = likeliest(model, (9, 8, 7), 4)
    end = whole[2]

    (found,) = sample(model, [(9, 8, 7)], greedy(4, ends=(end,)))

    assert found.tokens == whole[: whole.index(end)]
    assert found.finished


def test_sampling_follows_its_seed_and_leaves_the_process_as_it_was() -> None:
    model = tiny_model("llama").train()
    before = torch.random.get_rng_state()

    one, again, other = (
        sample(model, [(9, 8, 7)] * 3, Decoding(8, ends=(END,), pad=0, seed=seed))
        for seed in (1, 1, 2)
    )

    assert one == again
    assert one != other
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.training


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="one answer of each model"):
        length_drift([answer(1)], [])
    same = predictions(LogProbs(tiny_model("llama"), "unpacked"))
    with pytest.raises(ValueError, match="needs completions"):
        kl_drift([], same, same)
    with pytest.raises(ValueError, match="without tokens"):
        sample(tiny_model("llama"), [()], greedy(1))
