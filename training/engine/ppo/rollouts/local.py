"""Answers by transformers' `generate` from the actor itself: no server, nothing to keep in step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from training.engine.groups import Tokens
from training.engine.ppo.rollouts.answers import Answer, Sampling


class Local:
    """model: of PEFT, the actor's adapter active. tokens: of prompts and answers at a time."""

    overlaps = False
    tempered = True

    def __init__(self, model: Any, sampling: Sampling, tokens: int) -> None:
        self._model = model
        self._sampling = sampling
        self._tokens = tokens

    def publish(self) -> None:
        """The actor's weights are its own."""

    def close(self) -> None:
        """There is nothing."""

    @torch.no_grad()
    def sample(self, prompts: Sequence[Tokens], seed: int) -> list[tuple[Answer, ...]]:
        """The same seed gives the same answers; the process's random state is left as it was."""
        samples = self._sampling.samples
        rows = [prompt for prompt in prompts for _ in range(samples)]
        # Prompts of a length together: less padding, which is computed too.
        order = sorted(range(len(rows)), key=lambda number: (len(rows[number]), number))
        found: dict[int, Answer] = {}
        device = next(self._model.parameters()).device
        training = self._model.training
        self._model.eval()
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                torch.manual_seed(seed)
                for batch in self._batches(order, rows):
                    answers = self._batch([rows[number] for number in batch], device)
                    found |= dict(zip(batch, answers, strict=True))
        finally:
            self._model.train(training)
        flat = [found[number] for number in range(len(rows))]
        return [tuple(flat[start : start + samples]) for start in range(0, len(flat), samples)]

    def _batches(self, order: Sequence[int], rows: Sequence[Tokens]) -> list[list[int]]:
        batches: list[list[int]] = []
        for number in order:
            # The last one so far is the longest of its batch.
            width = len(rows[number]) + self._sampling.max_new_tokens
            if batches and (len(batches[-1]) + 1) * width <= self._tokens:
                batches[-1].append(number)
            else:
                batches.append([number])
        return batches

    def _batch(self, prompts: Sequence[Tokens], device: torch.device) -> list[Answer]:
        sampling = self._sampling
        width = max(map(len, prompts))
        ids = [[sampling.pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        told = _Told(sampling.temperature)
        made = self._model.generate(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.tensor(mask, device=device),
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=list(sampling.ends),
            pad_token_id=sampling.pad,
            do_sample=True,
            temperature=sampling.temperature,
            top_k=0,
            top_p=1.0,
            repetition_penalty=1.0,
            use_cache=True,
            logits_processor=LogitsProcessorList([told]),
        )
        logprobs = told.all(made)
        return [
            _answer(tokens, said, sampling.ends)
            for tokens, said in zip(made[:, width:].tolist(), logprobs.tolist(), strict=True)
        ]


class _Told(LogitsProcessor):
    """Remembers of each sampled token its log-probability, of the logits one step only."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._last: Tensor | None = None
        self._found: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._look(input_ids)
        self._last = (scores.float() / self._temperature).log_softmax(dim=-1)
        return scores

    def all(self, made: Tensor) -> Tensor:
        """(rows, new tokens)"""
        self._look(made)
        return torch.stack(self._found, dim=1)

    def _look(self, ids: Tensor) -> None:
        if self._last is not None:
            self._found.append(self._last.gather(1, ids[:, -1:]).squeeze(1))


def _answer(row: list[int], logprobs: list[float], ends: Tokens) -> Answer:
    for place, token in enumerate(row):
        if token in ends:
            return Answer(tuple(row[: place + 1]), True, tuple(logprobs[: place + 1]))
    return Answer(tuple(row), False, tuple(logprobs))
