"""Supervised fine-tuning on demonstrations, by TRL: the loss is on the assistant's turns only.

All of them, each with the end of its turn. The tokens are the engine's own
(`training.engine.data`), so templates and truncation are decided in one place; TRL gets them with
all other labels masked.
"""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from training.engine.base import refuse_longer
from training.engine.data import Demonstration, load_demonstrations
from training.engine.evaluation.report import Evaluation
from training.engine.methods.measures import measure_policy, read_material
from training.engine.methods.trl_run import EngineTrainer, batch_size
from training.engine.methods.trl_session import (
    build_trainer,
    finish_policy,
    keep_policy,
    note,
    open_policy,
    rows_per_process,
    train_policy,
)
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import RunSpec

# What cross-entropy leaves out.
IGNORED = -100
NO_RANKINGS = dict.fromkeys(
    ("accuracy", "calibration", "agreement"), "learned from demonstrations, not from rankings"
)


class _Trainer(EngineTrainer, SFTTrainer):  # type: ignore[misc]
    pass


def run_sft(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Training, adapter, evaluation: loss, forgetting, length and KL on held-out demonstrations.

    A step's loss is the mean over all tokens of the assistant's turns in it.
    """
    policy = open_policy(spec, folder, reporter, stop)
    reporter.phase("reading the data")
    data = load_demonstrations(spec.data, policy.base.tokenizer)
    longest = max(len(one.tokens) for one in (*data.train, *data.evaluation))
    refuse_longer(policy.base, longest)
    rows = rows_per_process(spec)
    batch = batch_size(rows, longest, spec.training.tokens_per_pack)
    counts = {"train": len(data.train), "evaluation": len(data.evaluation)}
    note(policy, data.report, data.content_hash, counts, batch * longest)
    material = read_material(spec, policy.base.tokenizer)
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
    keep_policy(policy, trainer, data.content_hash)
    reporter.phase("evaluation")
    held_out = [group for one in data.evaluation for group in one.groups]
    language = measure_policy(policy.measured(trainer), material, held_out)
    finish_policy(policy, Evaluation(missing=NO_RANKINGS).merged(language))


def dataset(demonstrations: Sequence[Demonstration]) -> Any:
    """Rows as TRL takes them: input_ids, and labels that leave out what is not learned."""
    return Dataset.from_list([_row(one) for one in demonstrations])


def _row(one: Demonstration) -> dict[str, list[int]]:
    labels = [IGNORED] * len(one.tokens)
    for begin, end in one.learned:
        labels[begin:end] = one.tokens[begin:end]
    return {"input_ids": list(one.tokens), "labels": labels}
