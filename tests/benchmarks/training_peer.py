"""TRL on the pairs that a ranking expands to, with the same base, adapter and tokens."""

import tempfile
import time
from dataclasses import replace
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

from training.engine.base import LoadedBase, padding_token
from training.engine.groups import Group

R = 16


class Stepping:
    """A trainer whose `backward` takes a ranking; a step of it is timed."""

    model: Any
    optimizer: torch.optim.Optimizer

    def optimize(self, trained: nn.Module) -> None:
        """Make the optimizer over all that is trained."""
        parameters = [one for one in trained.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-5)

    def backward(self, group: Group) -> None:
        """Add the gradient of the mean loss over all pairs of the ranking."""
        raise NotImplementedError

    def step(self, group: Group) -> float:
        """Seconds of a whole step on one ranking."""
        begin = time.perf_counter()
        self.backward(group)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - begin


class Peer(Stepping):
    """TRL's own trainer, fed its own batches of pairs."""

    def __init__(
        self,
        base: LoadedBase,
        method: str,
        precision: str,
        groups: list[Group],
        batch: int = 2,
    ) -> None:
        self.batch = batch
        self.trainer: Any = (_dpo if method == "dpo" else _reward)(base, precision, groups)
        self.method = method
        self.model = self.trainer.model
        self.model.train()
        self.optimize(self.model)

    def backward(self, group: Group) -> None:
        examples = self._examples(group)
        for start in range(0, len(examples), self.batch):
            part = examples[start : start + self.batch]
            inputs = self.trainer._prepare_inputs(self.trainer.data_collator(part))
            with self.trainer.compute_loss_context_manager():
                loss = self.trainer.compute_loss(self.model, inputs)
            (loss * len(part) / len(examples)).backward()

    def _examples(self, group: Group) -> list[dict[str, Any]]:
        prompt = list(group.prompt)
        found = []
        for pair in group.rankings[0].pairs:
            chosen, rejected = (list(group.completions[one]) for one in (pair.winner, pair.loser))
            if self.method == "dpo":
                found.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
            else:
                found.append({"chosen_ids": prompt + chosen, "rejected_ids": prompt + rejected})
        return found


def _settings(precision: str) -> dict[str, Any]:
    return {
        "output_dir": tempfile.mkdtemp(),
        "bf16": precision == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "report_to": "none",
        "max_length": None,
        "disable_dropout": True,
    }


def lora_config(task: str) -> LoraConfig:
    return LoraConfig(r=R, lora_alpha=2 * R, target_modules="all-linear", task_type=task)


def reward_lora_config() -> LoraConfig:
    """Of a classifier, whose head is trained whole."""
    found = lora_config("SEQ_CLS")
    found.modules_to_save = ["score"]
    return found


def _dpo(base: LoadedBase, precision: str, groups: list[Group]) -> Any:
    rows = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    return DPOTrainer(
        model=base.model,
        args=DPOConfig(beta=0.1, **_settings(precision)),
        train_dataset=rows,
        processing_class=base.tokenizer,
        peft_config=lora_config("CAUSAL_LM"),
    )


def _reward(base: LoadedBase, precision: str, groups: list[Group]) -> Any:
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        base.folder, num_labels=1, dtype=base.dtype
    )
    # The classifier reads the last token that is not padding. Where the end of a turn is the
    # padding too, as in SmolLM2, it would read the token before it.
    base.tokenizer.pad_token = padding_token(base.tokenizer)
    model.config.pad_token_id = base.tokenizer.pad_token_id
    rows = Dataset.from_list([{"chosen": "a b", "rejected": "a c"}])
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(**_settings(precision)),
        train_dataset=rows,
        processing_class=base.tokenizer,
        peft_config=reward_lora_config(),
    )
    set_head(trainer.model)
    return trainer


def first_pairs(group: Group, count: int) -> Group:
    """The group as if only some of its pairs had been told."""
    ranking = replace(group.rankings[0], pairs=group.rankings[0].pairs[:count])
    return replace(group, rankings=(ranking,))


# --- the same weights on both sides ----------------------------------------------------------


def _neutral(name: str) -> str:
    """A LoRA weight's name from its layer on: `layers.0.self_attn.q_proj.lora_A`."""
    return name[name.index("layers.") :].replace(".default.weight", "")


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return {
        _neutral(name): parameter
        for name, parameter in model.named_parameters()
        if "lora_" in name and ".ref." not in name
    }


def random_adapter(model: nn.Module) -> dict[str, Tensor]:
    """Weights of an adapter that does something: fresh LoRA has B = 0, and no gradient for A."""
    draw = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(one.shape, generator=draw) * 0.02
        for name, one in sorted(adapter_parameters(model).items())
    }


def set_adapter_weights(model: nn.Module, weights: dict[str, Tensor] | None) -> None:
    if weights is not None:
        with torch.no_grad():
            for name, parameter in adapter_parameters(model).items():
                parameter.copy_(weights[name])


def adapter_gradients(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.float()
        for name, parameter in adapter_parameters(model).items()
        if parameter.grad is not None
    }


def set_head(module: nn.Module) -> None:
    """The same reward head on both sides: every trainable (1, D) matrix, by a fixed seed."""
    for name, parameter in module.named_parameters():
        if "lora_" not in name and parameter.dim() == 2 and parameter.shape[0] == 1:
            draw = torch.Generator().manual_seed(1)
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.05)
