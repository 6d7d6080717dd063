"""Answers by transformers' `generate` from the actor itself: no server, nothing to keep in step."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, LogitsProcessor, LogitsProcessorList

from training.engine.groups import Tokens
from training.engine.ppo.rollouts.answers import Answer, Sampling
from training.engine.scorers import inner_model


class Local:
    """model: of PEFT, the actor's adapter active. tokens: of prompts and answers at a time."""

    overlaps = False

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
        """The same seed gives the same answers, however many fit into a batch.

        The process's random state is left alone.
        """
        samples = self._sampling.samples
        rows = [prompt for prompt in prompts for _ in range(samples)]
        draw = torch.Generator().manual_seed(seed)
        seeds = torch.randint(2**62, (len(rows),), generator=draw).tolist()
        # Prompts of a length together: less padding, which is computed too.
        order = sorted(range(len(rows)), key=lambda number: (len(rows[number]), number))
        found: dict[int, Answer] = {}
        training = self._model.training
        self._model.eval()
        try:
            for batch in self._batches(order, rows):
                answers = self._batch([rows[n] for n in batch], [seeds[n] for n in batch])
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

    def _batch(self, prompts: Sequence[Tokens], seeds: Sequence[int]) -> list[Answer]:
        sampling = self._sampling
        device = next(self._model.parameters()).device
        width = max(map(len, prompts))
        padded = [[sampling.pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        seen = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        ids, mask = torch.tensor(padded, device=device), torch.tensor(seen, device=device)
        draws = _Draws(sampling.temperature, seeds, device)
        made = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=self._encoded(prompts, ids, mask),
            max_new_tokens=sampling.max_new_tokens,
            eos_token_id=list(sampling.ends),
            pad_token_id=sampling.pad,
            do_sample=False,  # the likeliest after the draw
            repetition_penalty=1.0,
            use_cache=True,
            logits_processor=LogitsProcessorList([draws]),
        )
        logprobs = draws.logprobs(made)
        return [
            _answer(tokens, said, sampling.ends)
            for tokens, said in zip(made[:, width:].tolist(), logprobs.tolist(), strict=True)
        ]

    def _encoded(self, prompts: Sequence[Tokens], ids: Tensor, mask: Tensor) -> Cache | None:
        """All of the prompts but their last tokens, each prompt once, for the row of every answer.

        None where nothing is gained, and where a model keeps something else than keys and values.
        """
        rows, owners = _distinct(prompts)
        if len(rows) == len(prompts) or ids.shape[1] == 1:
            return None
        ids, mask = ids[rows, :-1], mask[rows, :-1]
        base = inner_model(self._model).base_model
        given = {"input_ids": ids, "attention_mask": mask, "use_cache": True}
        if "position_ids" in signature(base.forward).parameters:  # not where positions are biases
            given["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = base(**given).get("past_key_values")
        if not isinstance(cache, DynamicCache):
            return None
        cache.batch_select_indices(torch.tensor(owners, device=ids.device))
        return cache


def _distinct(prompts: Sequence[Tokens]) -> tuple[list[int], list[int]]:
    """The rows at which another prompt begins, and of each row which of these it repeats."""
    rows: list[int] = []
    owners: list[int] = []
    for number, prompt in enumerate(prompts):
        if not rows or prompt != prompts[rows[-1]]:
            rows.append(number)
        owners.append(len(rows) - 1)
    return rows, owners


class _Draws(LogitsProcessor):
    """Draws from the distribution: its log-probabilities with Gumbel noise, of which the largest

    is taken (Gumbel 1954). Each answer has a generator of its own, so what is said does not depend
    on who else is in the batch. Of the logits one step is remembered, for the log-probabilities.
    """

    def __init__(self, temperature: float, seeds: Sequence[int], device: torch.device) -> None:
        self._temperature = temperature
        self._draws = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._last: Tensor | None = None
        self._found: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._look(input_ids)
        self._last = (scores.float() / self._temperature).log_softmax(dim=-1)
        waits = torch.empty_like(self._last)
        for row, draw in zip(waits, self._draws, strict=True):
            row.exponential_(generator=draw)
        return self._last - waits.log_()

    def logprobs(self, made: Tensor) -> Tensor:
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
