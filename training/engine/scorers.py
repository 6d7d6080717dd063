"""What a model says of the completions of a pack: their log-probabilities, or their rewards.

Each completion is encoded once. Packed, a group's prompt is encoded once as well; unpacked, every
completion is a row with its prompt before it, for architectures that cannot take the block mask.
Which of the two, is found out by numbers (`layout`).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from training.engine.head import head_logprobs
from training.engine.packing import Pack

Layout = Literal["packed", "unpacked"]
At = Literal["start", "end"]
LOGIT_CAPS = ("final_logit_softcapping", "logits_soft_cap")


@dataclass(frozen=True)
class Rows:
    """A pack's C completions as rows behind their prompts, padded on the right to L tokens.

    input_ids, attention_mask: (C, L). predictors: (N,) and ends: (C,) index the C x L tokens.
    """

    input_ids: Tensor
    attention_mask: Tensor
    predictors: Tensor
    ends: Tensor


def rows(packed: Pack) -> Rows:
    """Unpack: the prompt again before each completion."""
    device = packed.input_ids.device
    lines = [
        (group.prompt, completion) for group in packed.groups for completion in group.completions
    ]
    width = max(len(prompt) + len(completion) for prompt, completion in lines)
    ids = torch.zeros(len(lines), width, dtype=torch.long)
    mask = torch.zeros(len(lines), width, dtype=torch.long)
    predictors: list[int] = []
    ends: list[int] = []
    for number, (prompt, completion) in enumerate(lines):
        length = len(prompt) + len(completion)
        ids[number, :length] = torch.tensor(prompt + completion)
        mask[number, :length] = 1
        first = number * width + len(prompt) - 1
        predictors += range(first, first + len(completion))
        ends.append(number * width + length - 1)
    return Rows(
        ids.to(device),
        mask.to(device),
        torch.tensor(predictors, device=device),
        torch.tensor(ends, device=device),
    )


def inner_model(model: Any) -> Any:
    """The transformers model inside of PEFT's, or the model itself."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


class Scorer(nn.Module):
    """A model below its language-model head, over packs.

    model: a transformers model, or a PEFT model around one; it attends in blocks when packed.
    """

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        super().__init__()
        self.model = model
        self.layout: Layout = layout

    @property
    def inner(self) -> Any:
        return inner_model(self.model)

    @property
    def _no_split_modules(self) -> Any:
        """What accelerate shards as a unit: the model's own layers."""
        return self.inner._no_split_modules

    def hidden(self, packed: Pack) -> tuple[Tensor, Tensor, Tensor]:
        """The hidden states of all tokens (any, D), and the predictors and ends among them."""
        if self.layout == "packed":
            states = self.inner.base_model(
                input_ids=packed.input_ids,
                position_ids=packed.position_ids,
                # A mask of four dimensions is taken as it is, and blocks need none.
                attention_mask=packed.input_ids.new_zeros(1, 1, 1, 1, dtype=torch.bool),
                use_cache=False,
                pack=packed,
            )
            return states.last_hidden_state[0], packed.predictors, packed.ends
        lines = rows(packed)
        states = self.inner.base_model(
            input_ids=lines.input_ids, attention_mask=lines.attention_mask
        )
        return states.last_hidden_state.flatten(0, 1), lines.predictors, lines.ends


class LogProbs(Scorer):
    """The log-probability of every completion token, given what stands before it."""

    def forward(self, packed: Pack) -> Tensor:
        """(N,) in float32, in the order of `packed.targets`."""
        hidden, predictors, _ = self.hidden(packed)
        head = self.inner.get_output_embeddings()
        return head_logprobs(
            hidden[predictors],
            head.weight,
            packed.targets,
            bias=getattr(head, "bias", None),
            scale=self._scale,
            cap=self._cap,
        )

    def logits(self, states: Tensor) -> Tensor:
        """Of some (n, D) hidden states the whole (n, V) logits, in float32."""
        head = self.inner.get_output_embeddings()
        made: Tensor = head(states).float() * self._scale
        return made if self._cap is None else self._cap * torch.tanh(made / self._cap)

    @property
    def _scale(self) -> float:
        """The factor between the head's product and the logits (Cohere, Granite); mostly 1."""
        config = self.inner.config.get_text_config()
        scale = getattr(config, "logit_scale", None)
        divisor = getattr(config, "logits_scaling", None)
        if scale is None and divisor is not None:
            scale = 1 / divisor
        return 1.0 if scale is None else float(scale)

    @property
    def _cap(self) -> float | None:
        """The soft cap of the logits (Gemma 2, NanoChat; RecurrentGemma names it otherwise)."""
        config = self.inner.config.get_text_config()
        caps = (getattr(config, name, None) for name in LOGIT_CAPS)
        return next((float(cap) for cap in caps if cap), None)


class Rewards(Scorer):
    """One reward for each completion, read by a head off its last token.

    Of an encoder (BERT-class) it is read off the first token, which attends to all others.
    """

    def __init__(
        self, model: nn.Module, head: nn.Module, layout: Layout, *, at: At = "end"
    ) -> None:
        super().__init__(model, layout)
        self.head = head
        self.at: At = at

    def forward(self, packed: Pack) -> Tensor:
        """(C,) in float32."""
        hidden, _, ends = self.hidden(packed)
        if self.at == "start":
            ends = torch.arange(len(ends), device=ends.device) * (len(hidden) // len(ends))
        scores: Tensor = self.head(hidden[ends].float())
        return scores
