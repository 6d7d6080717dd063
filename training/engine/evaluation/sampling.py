"""Answers of a model to prompts, through transformers' `generate`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.engine.groups import Tokens


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer: its tokens without the end token, and whether it ended by itself."""

    tokens: Tokens
    finished: bool

    @property
    def length(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class Decoding:
    """temperature: 0 takes the likeliest token. ends: tokens that end an answer. batch: prompts at
    a time. seed: of the sampling.
    """

    max_new_tokens: int
    ends: tuple[int, ...]
    pad: int
    temperature: float = 1.0
    batch: int = 8
    seed: int = 0


@torch.no_grad()
def sample(model: Any, prompts: Sequence[Tokens], decoding: Decoding) -> list[Sample]:
    """One answer to each prompt, from the plain distribution: no top-p, top-k or penalties.

    model: a causal model of transformers or PEFT, as it is now: its adapter on or off. The random
    state of the process is as before afterwards. Raises ValueError for an empty prompt.
    """
    if not all(prompts):
        raise ValueError("a prompt without tokens cannot be answered")
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    answers: list[Sample] = []
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(decoding.seed)
            for start in range(0, len(prompts), decoding.batch):
                answers += _batch(model, prompts[start : start + decoding.batch], decoding, device)
    finally:
        model.train(training)
    return answers


def _batch(
    model: Any, prompts: Sequence[Tokens], decoding: Decoding, device: torch.device
) -> list[Sample]:
    width = max(map(len, prompts))
    ids = [[decoding.pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    options: dict[str, Any] = {"do_sample": False}
    if decoding.temperature > 0:
        options = {
            "do_sample": True,
            "temperature": decoding.temperature,
            "top_k": 0,
            "top_p": 1.0,
        }
    made = model.generate(
        input_ids=torch.tensor(ids, device=device),
        attention_mask=torch.tensor(mask, device=device),
        max_new_tokens=decoding.max_new_tokens,
        eos_token_id=list(decoding.ends),
        pad_token_id=decoding.pad,
        repetition_penalty=1.0,
        **options,
    )
    return [_answer(row, decoding.ends) for row in made[:, width:].tolist()]


def _answer(row: list[int], ends: tuple[int, ...]) -> Sample:
    for place, token in enumerate(row):
        if token in ends:
            return Sample(tuple(row[:place]), True)
    return Sample(tuple(row), False)
