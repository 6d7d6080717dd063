"""The losses equal TRL 1.16's own on pairs: same model, same batch, its trainers' own methods."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from torch.testing import assert_close
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from training.engine.groups import Group, Pair, Ranking
from training.engine.losses.indices import Pairs, pair_tensors, pair_weight
from training.engine.losses.listwise import plackett_luce
from training.engine.losses.metrics import pair_metrics
from training.engine.losses.pairwise import ipo, sigmoid
from training.engine.losses.reward import pairwise
from training.engine.packing import Pack, pack

WORDS = ["<pad>", "</s>", "<unk>", *"abcdefghijklmn"]
ROWS = [
    {"prompt": "a b c", "chosen": " d e", "rejected": " f g h i", "margin": 3.0},
    {"prompt": "m n", "chosen": " b b j k", "rejected": " l", "margin": 0.0},
    {"prompt": "c", "chosen": " d", "rejected": " n a", "margin": 1.0},
]
EXACT: Any = {"atol": 1e-6, "rtol": 1e-6}
Policy: Any = LlamaForCausalLM
RewardModel: Any = LlamaForSequenceClassification
FastTokenizer: Any = PreTrainedTokenizerFast


@pytest.fixture
def tokenizer() -> Any:
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, "<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    return FastTokenizer(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def config(**labels: Any) -> Any:
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=0,
        **labels,
    )


def settings(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": len(ROWS),
        "use_cpu": True,
        "report_to": "none",
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


class Policies:
    """A tiny model and the reference that it has moved away from, in TRL's trainer."""

    def __init__(self, folder: Path, tokenizer: Any, **options: Any) -> None:
        torch.manual_seed(0)
        self.model, self.reference = Policy(config()), Policy(config())
        self.trainer: Any = DPOTrainer(
            self.model,
            self.reference,
            DPOConfig(**settings(folder), **options),
            train_dataset=Dataset.from_list(ROWS),
            processing_class=tokenizer,
        )
        self.groups = [group(row) for row in self.trainer.train_dataset]
        self.model.eval()

    def trl_loss(self) -> Tensor:
        rows = [self.trainer.train_dataset[number] for number in range(len(ROWS))]
        loss: Tensor = self.trainer._compute_loss(
            self.model, self.trainer.data_collator(rows), return_outputs=False
        )
        return loss

    def log_ratios(self, packed: Pack) -> Tensor:
        """(C,), each completion by itself behind its prompt."""
        rows = [(one.prompt, tokens) for one in packed.groups for tokens in one.completions]
        return torch.stack(
            [
                log_probability(self.model, *row) - log_probability(self.reference, *row).detach()
                for row in rows
            ]
        )


def group(row: dict[str, Any]) -> Group:
    return Group(
        "pair",
        tuple(row["prompt_ids"]),
        (tuple(row["chosen_ids"]), tuple(row["rejected_ids"])),
        (Ranking(((0,), (1,)), (Pair(0, 1, margin=row["margin"]),)),),
    )


def log_probability(model: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> Tensor:
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0]
    told = logits[len(prompt) - 1 : -1].log_softmax(-1)
    found: Tensor = told.gather(1, torch.tensor(answer)[:, None]).sum()
    return found


def mean(losses: Tensor, packed: Pack, pairs: Pairs) -> Tensor:
    return losses @ pairs.weights / pair_weight(packed)


def slopes(loss: Tensor, model: Any) -> Iterator[Tensor]:
    yield from torch.autograd.grad(loss, list(model.parameters()))


def assert_same(ours: Tensor, theirs: Tensor, model: Any) -> None:
    assert_close(ours, theirs, **EXACT)
    for own, other in zip(slopes(ours, model), slopes(theirs, model), strict=True):
        assert_close(own, other, **EXACT)


def test_dpo_with_its_gradients(tmp_path: Path, tokenizer: Any) -> None:
    policies = Policies(tmp_path, tokenizer, loss_type="sigmoid", beta=0.3)
    packed = pack(policies.groups)
    pairs = pair_tensors(packed)

    margins = 0.3 * pairs.differences(policies.log_ratios(packed))
    ours = mean(sigmoid(margins, pairs.targets), packed, pairs)

    assert_same(ours, policies.trl_loss(), policies.model)


def test_dpo_metrics(tmp_path: Path, tokenizer: Any) -> None:
    policies = Policies(tmp_path, tokenizer, loss_type="sigmoid", beta=0.3)
    packed = pack(policies.groups)

    found = pair_metrics(0.3 * policies.log_ratios(packed), pair_tensors(packed))
    policies.trl_loss()

    theirs = policies.trainer._metrics["eval"]
    for ours, name in [
        ("accuracy", "accuracies"),
        ("margin", "margins"),
        ("chosen", "chosen"),
        ("rejected", "rejected"),
    ]:
        total, count = found[ours]
        assert (total / count).item() == pytest.approx(theirs[f"rewards/{name}"][0], abs=1e-6)


def test_ipo_with_its_gradients(tmp_path: Path, tokenizer: Any) -> None:
    policies = Policies(tmp_path, tokenizer, loss_type="ipo", beta=0.5)
    packed = pack(policies.groups)
    pairs = pair_tensors(packed)

    deltas = pairs.differences(policies.log_ratios(packed) / packed.lengths)
    ours = mean(ipo(deltas, pairs.targets, 0.5), packed, pairs)

    assert_same(ours, policies.trl_loss(), policies.model)


def test_label_smoothing(tmp_path: Path, tokenizer: Any) -> None:
    # TRL smooths labels so in "aot" only, which sorts the pairs of a batch: here they are sorted.
    policies = Policies(tmp_path, tokenizer, loss_type="aot", beta=0.3, label_smoothing=0.2)
    packed = pack(policies.groups[:1])
    pairs = pair_tensors(packed)
    only = policies.trainer.data_collator([policies.trainer.train_dataset[0]])

    margins = 0.3 * pairs.differences(policies.log_ratios(packed))
    ours = mean(sigmoid(margins, pairs.targets, 0.2), packed, pairs)
    theirs = policies.trainer._compute_loss(policies.model, only, return_outputs=False)

    assert_same(ours, theirs, policies.model)


def test_plackett_luce_of_pairs_is_dpo(tmp_path: Path, tokenizer: Any) -> None:
    policies = Policies(tmp_path, tokenizer, loss_type="sigmoid", beta=0.3)
    rewards = 0.3 * policies.log_ratios(pack(policies.groups))

    ours = torch.stack([plackett_luce(two, ((0,), (1,))) for two in rewards.view(-1, 2)]).mean()

    assert_same(ours, policies.trl_loss(), policies.model)


@pytest.mark.parametrize("centering", [None, 0.05])
@pytest.mark.parametrize("margins", [True, False])
def test_reward_model_with_its_gradients(
    tmp_path: Path,
    tokenizer: Any,
    margins: bool,
    centering: float | None,
) -> None:
    torch.manual_seed(0)
    model = RewardModel(config(num_labels=1))
    rows = ROWS if margins else [{**row, "margin": 0.0} for row in ROWS]
    shown = Dataset.from_list(rows)
    trainer: Any = RewardTrainer(
        model,
        RewardConfig(**settings(tmp_path), center_rewards_coefficient=centering),
        train_dataset=shown if margins else shown.remove_columns("margin"),
        processing_class=tokenizer,
    )
    model.eval()
    batch = trainer.data_collator(list(trainer.train_dataset))
    theirs = trainer.compute_loss(model, dict(batch))

    # The same texts, as groups: chosen and rejected of each row behind one another.
    alone = [
        model(input_ids=torch.tensor([row[name]])).logits[0, 0]
        for row in trainer.train_dataset
        for name in ("chosen_ids", "rejected_ids")
    ]
    packed = pack(
        [group({**row, "prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]}) for row in rows]
    )
    pairs = pair_tensors(packed)
    losses = pairwise(
        torch.stack(alone),
        pairs.winners,
        pairs.losers,
        pairs.targets,
        pairs.margins,
        centering or 0.0,
    )

    assert_same(mean(losses, packed, pairs), theirs, model)
