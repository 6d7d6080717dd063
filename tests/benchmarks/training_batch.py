"""A ranking as one padded batch, its K completions in rows of their own, all pairs in the loss.

As InstructGPT describes it ("we train on all (K choose 2) comparisons from each prompt as a single
batch element", Ouyang et al. 2022, 3.5), written by hand on transformers and PEFT: each completion
is encoded once, the prompt K times, and the rows are padded to the longest. Logits are computed
where completions are, and nowhere else.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from peft import get_peft_model
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

from tests.benchmarks import training_peer
from tests.benchmarks.training_peer import Stepping
from training.engine.base import LoadedBase, padding_token
from training.engine.groups import Group

BETA = 0.1
IGNORED = -100


class Padded(Stepping):
    """One forward of K rows for a whole ranking; DPO takes another one for the reference."""

    def __init__(self, base: LoadedBase, method: str, precision: str) -> None:
        self._method, self._precision = method, precision
        base.tokenizer.pad_token = padding_token(base.tokenizer)
        self._padding: int = base.tokenizer.pad_token_id
        self.model = _causal(base) if method == "dpo" else _classifier(base, self._padding)
        self.model.train()
        self.optimize(self.model)

    def backward(self, group: Group) -> None:
        with self._autocast():
            scores = self._implicit(group) if self._method == "dpo" else self._rewards(group)
        pairs = group.rankings[0].pairs
        better = torch.tensor([pair.winner for pair in pairs])
        worse = torch.tensor([pair.loser for pair in pairs])
        (-F.logsigmoid(scores[better] - scores[worse]).mean()).backward()

    def _implicit(self, group: Group) -> Tensor:
        """(K,) rewards as DPO defines them (Rafailov et al. 2023, eq. 5, without its constant)."""
        policy = self._logprobs(group)
        with torch.no_grad(), self.model.disable_adapter():
            reference = self._logprobs(group)
        return BETA * (policy - reference)

    def _logprobs(self, group: Group) -> Tensor:
        """(K,) log-probabilities of the completions."""
        rows, mask = self._rows(group)
        answers = rows.shape[1] - len(group.prompt)
        labels = rows[:, -answers:].masked_fill(mask[:, -answers:] == 0, IGNORED)
        given = {"input_ids": rows, "attention_mask": mask, "logits_to_keep": answers + 1}
        logits = self.model(**given).logits[:, :-1]
        flat = F.cross_entropy(
            logits.flatten(0, 1).float(), labels.flatten(), reduction="none", ignore_index=IGNORED
        )
        return -flat.view(labels.shape).sum(-1)

    def _rewards(self, group: Group) -> Tensor:
        """(K,) rewards at the last tokens."""
        rows, mask = self._rows(group)
        found: Tensor = self.model(input_ids=rows, attention_mask=mask).logits[:, 0]
        return found.float()

    def _rows(self, group: Group) -> tuple[Tensor, Tensor]:
        """(K, T) tokens, padded behind, and what of them is none."""
        whole = [[*group.prompt, *one] for one in group.completions]
        longest = max(map(len, whole))
        rows = [each + [self._padding] * (longest - len(each)) for each in whole]
        mask = [[1] * len(each) + [0] * (longest - len(each)) for each in whole]
        return torch.tensor(rows), torch.tensor(mask)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16, enabled=self._precision == "bf16")


def _causal(base: LoadedBase) -> Any:
    return get_peft_model(base.model, training_peer.lora_config("CAUSAL_LM"))


def _classifier(base: LoadedBase, padding: int) -> Any:
    model = AutoModelForSequenceClassification.from_pretrained(
        base.folder, num_labels=1, dtype=base.dtype
    )
    model.config.pad_token_id = padding
    adapted = get_peft_model(model, training_peer.reward_lora_config())
    training_peer.set_head(adapted)
    return adapted
