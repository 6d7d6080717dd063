"""Supervised fine-tuning on demonstrations, by TRL: the loss is on the completion only.

The tokens are the engine's own (`training.engine.data`), so templates and truncation are decided in
one place; TRL gets them with the prompt's labels masked.
"""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from torch import Tensor
from trl import SFTConfig, SFTTrainer

from training.engine.adapters import reference_active
from training.engine.base import refuse_longer
from training.engine.data import Demonstration, Demonstrations, load_demonstrations
from training.engine.evaluation.forgetting import forgetting
from training.engine.evaluation.report import Evaluation
from training.engine.methods.trl_run import EngineTrainer, batch_size
from training.engine.methods.trl_session import (
    Policy,
    build_trainer,
    finish_policy,
    note,
    open_policy,
    rows_per_process,
    train_policy,
)
from training.engine.packing import Pack
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.scorers import LogProbs
from training.engine.spec import RunSpec

# What cross-entropy leaves out.
IGNORED = -100


class _Trainer(EngineTrainer, SFTTrainer):  # type: ignore[misc]
    pass


def run_sft(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Training, evaluation loss and forgetting on held-out demonstrations, adapter.

    A step's loss is the mean over all its completion tokens.
    """
    policy = open_policy(spec, folder, reporter, stop)
    reporter.phase("reading the data")
    data = load_demonstrations(spec.data, policy.base.tokenizer)
    longest = max(_length(one) for one in (*data.train, *data.evaluation))
    refuse_longer(policy.base, longest)
    rows = rows_per_process(spec)
    batch = batch_size(rows, longest, spec.training.tokens_per_pack)
    counts = {"train": len(data.train), "evaluation": len(data.evaluation)}
    note(policy, data.report, data.content_hash, counts, batch * longest)
    run = policy.run(len(data.train))
    trainer = build_trainer(
        _Trainer,
        policy,
        run,
        args=SFTConfig(
            **run.arguments(
                rows=rows,
                batch=batch,
                device=policy.base.device,
                evaluates=bool(data.evaluation),
            ),
            max_length=None,  # the engine has cut already
            packing=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=dataset(data.train),
        eval_dataset=dataset(data.evaluation) if data.evaluation else None,
    )
    train_policy(policy, trainer, run)
    finish_policy(policy, trainer, _evaluation(policy, data), data.content_hash)


def dataset(demonstrations: Sequence[Demonstration]) -> Any:
    """Rows as TRL takes them: input_ids, and labels that leave the prompt out."""
    return Dataset.from_list(
        [
            {
                "input_ids": [*one.prompt, *one.completion],
                "labels": [IGNORED] * len(one.prompt) + list(one.completion),
            }
            for one in demonstrations
        ]
    )


def _length(one: Demonstration) -> int:
    return len(one.prompt) + len(one.completion)


def _evaluation(policy: Policy, data: Demonstrations) -> Evaluation:
    if not data.evaluation:
        return Evaluation(missing={"demonstrations": "no demonstrations are held out"})
    scorer = LogProbs(policy.model, "unpacked")

    def base(packed: Pack) -> Tensor:
        with reference_active(policy.model):
            return scorer(packed)  # type: ignore[no-any-return]

    packs = policy.packs([one.group for one in data.evaluation])
    return Evaluation(demonstrations=forgetting(packs, scorer, base))
