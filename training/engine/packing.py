"""Ranking groups packed into one sequence: `[prompt, r1, ..., rK, prompt, r1, ...]`.

The prompt is encoded once and each completion once. Positions restart behind the prompt for each
completion, and a completion sees its prompt and itself only, so that its log-probabilities and its
score are those it has alone (docs/decisions/0004-packed-groups.md; the same block mask as in
"Prepacking" and in tree attention).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from training.engine.groups import Group


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `start` to `stop` (exclusive) of the packed sequence."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Block:
    """Where one group lies: its prompt, and its completions one behind the other."""

    prompt: Span
    completions: tuple[Span, ...]

    @property
    def answers(self) -> Span:
        """All completions of the group together."""
        return Span(self.completions[0].start, self.completions[-1].stop)


@dataclass(frozen=True, eq=False)
class Pack:
    """Some groups as one sequence of T tokens with C completions of N tokens in all.

    input_ids, position_ids: (1, T). predictors: (N,) the position whose hidden state predicts each
    completion token. targets: (N,) those tokens. owners: (N,) the completion that each belongs to.
    ends: (C,) the position of each completion's last token.
    """

    groups: tuple[Group, ...]
    blocks: tuple[Block, ...]
    input_ids: Tensor
    position_ids: Tensor
    predictors: Tensor
    targets: Tensor
    owners: Tensor
    ends: Tensor

    @property
    def tokens(self) -> int:
        return int(self.input_ids.shape[1])

    @property
    def completions(self) -> int:
        return int(self.ends.shape[0])

    def to(self, device: torch.device | str) -> "Pack":
        moved = (
            tensor.to(device, non_blocking=True)
            for tensor in (
                self.input_ids,
                self.position_ids,
                self.predictors,
                self.targets,
                self.owners,
                self.ends,
            )
        )
        return Pack(self.groups, self.blocks, *moved)

    @property
    def longest(self) -> int:
        """Tokens of the longest completion with its prompt: what a window has to hold."""
        return max(group.longest for group in self.groups)

    @cached_property
    def segments(self) -> Tensor:
        """(2, T): of each token its group, and its completion in the pack (-1: a prompt's)."""
        group = torch.empty(self.tokens, dtype=torch.int32)
        owner = torch.full((self.tokens,), -1, dtype=torch.int32)
        completion = 0
        for number, block in enumerate(self.blocks):
            group[block.prompt.start : block.answers.stop] = number
            for span in block.completions:
                owner[span.start : span.stop] = completion
                completion += 1
        return torch.stack([group, owner])

    def sums(self, per_token: Tensor) -> Tensor:
        """Sum the (N,) values of completion tokens to (C,) values of completions.

        A completion's tokens follow each other, so each sum has an order of its own: on a GPU
        `index_add` would add in whatever order its threads come, and no two runs were the same.
        """
        return torch.segment_reduce(per_token, "sum", lengths=self.counts, unsafe=True)

    @cached_property
    def counts(self) -> Tensor:
        """(C,) tokens of each completion."""
        counts = [len(span) for block in self.blocks for span in block.completions]
        return torch.tensor(counts, device=self.ends.device)

    @property
    def lengths(self) -> Tensor:
        """(C,) the same as floating point numbers."""
        return self.counts.float()


def pack(groups: Sequence[Group]) -> Pack:
    """Lay groups out one behind the other.

    Raises ValueError for a group without a prompt or with an empty completion: there is no token
    that could predict it.
    """
    ids: list[int] = []
    positions: list[int] = []
    predictors: list[int] = []
    owners: list[int] = []
    blocks: list[Block] = []
    ends: list[int] = []
    for group in groups:
        if not group.prompt or not all(group.completions):
            raise ValueError(f"group {group.key} has an empty prompt or completion")
        prompt = Span(len(ids), len(ids) + len(group.prompt))
        ids += group.prompt
        positions += range(len(group.prompt))
        spans = []
        for completion in group.completions:
            start = len(ids)
            predictors += [prompt.stop - 1, *range(start, start + len(completion) - 1)]
            owners += [len(ends)] * len(completion)
            ids += completion
            positions += range(len(prompt), len(prompt) + len(completion))
            spans.append(Span(start, len(ids)))
            ends.append(len(ids) - 1)
        blocks.append(Block(prompt, tuple(spans)))
    targets = [token for group in groups for one in group.completions for token in one]
    return Pack(
        groups=tuple(groups),
        blocks=tuple(blocks),
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        predictors=torch.tensor(predictors),
        targets=torch.tensor(targets),
        owners=torch.tensor(owners),
        ends=torch.tensor(ends),
    )
