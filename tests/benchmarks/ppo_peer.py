"""TRL 1.12's experimental PPO on the task of `ppo`; run as a script by the Python of its own venv.

`python ppo_peer.py TASK.json`: the last line of its output is JSON. As TRL's example has it: LoRA
on the policy, which is its own reference without it, and a value model of its own that is trained
whole. Its reward model is a Python function here: TRL wants a module, and calls `get_reward` on it.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from ppo_reward import score  # type: ignore[import-not-found]
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer
from trl.experimental.ppo import ppo_trainer as trl_ppo

from training.engine.base import padding_token
from training.engine.memory.peak import PeakMemory


class Program(torch.nn.Module):
    """Stands where TRL has a reward model."""


def main(task: dict[str, Any]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(task["model"], padding_side="left")
    tokenizer.pad_token = padding_token(tokenizer)
    theirs = trl_ppo.get_reward

    def get_reward(model: Any, texts: Any, pad: int, context: int) -> Any:
        if not isinstance(model, Program):
            return theirs(model, texts, pad, context)
        answers = tokenizer.batch_decode(texts[:, context:], skip_special_tokens=True)
        return None, torch.tensor([score(one) for one in answers]), None

    trl_ppo.get_reward = get_reward
    with PeakMemory() as memory:
        dtype = getattr(torch, task["dtype"])
        policy = AutoModelForCausalLM.from_pretrained(task["model"], dtype=dtype)
        value = AutoModelForSequenceClassification.from_pretrained(
            task["model"], num_labels=1, dtype=dtype
        )
        value.config.pad_token_id = tokenizer.pad_token_id
        steps: list[dict[str, float]] = []
        trainer = PPOTrainer(
            args=settings(task),
            processing_class=tokenizer,
            model=policy,
            ref_model=None,
            reward_model=Program(),
            value_model=value,
            train_dataset=Dataset.from_list([{"input_ids": ids} for ids in task["prompts"]]),
            eval_dataset=Dataset.from_list([{"input_ids": ids} for ids in task["prompts"]]),
            peft_config=LoraConfig(
                r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[Remembering(steps)],
        )
        begin = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - begin
        peak = memory.peak(policy)
    rewards = [one["objective/scores"] for one in steps]
    found = {"rewards": rewards, "kl": [one["objective/kl"] for one in steps], "seconds": seconds}
    print(json.dumps({**found, "peak_mb": peak.allocated / 2**20}))


def settings(task: dict[str, Any]) -> Any:
    rows, minibatches = task["prompts_per_step"] * task["samples"], task["minibatches"]
    return PPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        learning_rate=task["lr"],
        lr_scheduler_type="constant",
        seed=0,
        total_episodes=task["steps"] * rows,
        per_device_train_batch_size=rows // minibatches,
        gradient_accumulation_steps=minibatches,
        num_mini_batches=minibatches,
        num_ppo_epochs=task["epochs"],
        local_rollout_forward_batch_size=rows,
        num_sample_generations=0,
        response_length=task["max_new_tokens"],
        stop_token="eos",
        temperature=task["temperature"],
        missing_eos_penalty=None,
        kl_coef=task["kl_coef"],
    )


class Remembering(TrainerCallback):
    """Keeps what a step is told of."""

    def __init__(self, steps: list[dict[str, float]]) -> None:
        self._steps = steps

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "objective/scores" in logs:
            self._steps.append(dict(logs))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
