"""Kahneman-Tversky Optimization by TRL (Ethayarajh et al. 2024, eq. 7 and 8).

KTO learns from single completions that are desirable or not, by files that say so of each
(`data.unpaired`, KTO's own format) or by rankings (`kto_labels`), each against a reference point of
the whole step (`kto_trainer`).
"""

import math
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from torch import Tensor
from trl import KTOConfig

from training.engine.adapters import reference_active
from training.engine.base import refuse_longer
from training.engine.data import Preferences, load_preferences
from training.engine.evaluation.judged import implicit_rewards
from training.engine.evaluation.preferences import preferences
from training.engine.evaluation.report import Evaluation
from training.engine.methods.kto_labels import (
    Judged,
    balanced,
    in_words,
    judged,
    labels_of,
    said_alone,
    shuffled,
    silent,
)
from training.engine.methods.kto_trainer import StepKto
from training.engine.methods.measures import Measured, measure_policy, read_material
from training.engine.methods.trl_run import batch_size
from training.engine.methods.trl_session import (
    build_trainer,
    finish_policy,
    keep_policy,
    note,
    open_policy,
    rows_per_process,
    train_policy,
)
from training.engine.packing import Pack
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import KTO, RunSpec

# A ranking gives a desirable and an undesirable completion at least.
ROWS_OF_A_GROUP = 2


def run_kto(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Training, adapter, evaluation on held-out rankings by implicit rewards."""
    settings = spec.kto or KTO()
    policy = open_policy(spec, folder, reporter, stop)
    reporter.phase("reading the data")
    data = load_preferences(spec.data, policy.base.tokenizer, method=spec.method)
    labels = labels_of(settings, data.train)
    examples = shuffled(
        [*judged(data.train, labels), *said_alone(data.labeled)], spec.training.seed
    )
    held_out = shuffled(
        [*judged(data.evaluation, labels), *said_alone(data.evaluation_labeled)],
        spec.training.seed,
    )
    if nothing := silent(data.train, labels):
        reporter.warn(
            f"{nothing:,} rankings say nothing by tiers and are left out: all tied, or only "
            "unacceptable completions above others."
        )
    desirable, undesirable = balanced(settings, examples)
    longest = _longest((*examples, *held_out))
    refuse_longer(policy.base, longest)
    rows = rows_per_process(spec, ROWS_OF_A_GROUP)
    batch = batch_size(rows, longest, spec.training.tokens_per_pack, least=ROWS_OF_A_GROUP)
    counts = {"train": len(examples), "evaluation": len(held_out)}
    note(policy, data.report, data.content_hash, counts, batch * longest)
    folder.update_manifest({"learns": in_words(labels, examples, len(data.labeled))})
    material = read_material(spec, policy.base.tokenizer)
    run = policy.run(math.ceil(len(examples) / ROWS_OF_A_GROUP))
    trainer = build_trainer(
        StepKto,
        policy,
        run,
        args=KTOConfig(
            **run.arguments(
                rows=rows, batch=batch, device=policy.base.device, evaluates=bool(held_out)
            ),
            beta=settings.beta,
            desirable_weight=desirable,
            undesirable_weight=undesirable,
            max_length=None,
            disable_dropout=False,  # the base has none; the adapter's is the spec's
        ),
        train_dataset=dataset(examples),
        eval_dataset=dataset(held_out) if held_out else None,
    )
    train_policy(policy, trainer, run)
    keep_policy(policy, trainer, data.content_hash)
    reporter.phase("evaluation")
    measured = policy.measured(trainer)
    answered = [*data.evaluation, *(one.group for one in data.evaluation_labeled)]
    language = measure_policy(measured, material, answered)
    finish_policy(policy, _evaluation(measured, settings, data).merged(language))


def dataset(examples: Sequence[Judged]) -> Any:
    """Rows as TRL's collator takes them.

    KL_completion_ids: the completion of the example before, behind this prompt; from such
    mismatched pairs KTO estimates the divergence of the policy from its reference.
    """
    before = [examples[-1], *examples[:-1]]
    return Dataset.from_list(
        [
            {
                "prompt_ids": list(one.prompt),
                "completion_ids": list(one.completion),
                "KL_completion_ids": list(other.completion),
                "label": one.desirable,
            }
            for one, other in zip(examples, before, strict=True)
        ]
    )


def _longest(examples: Sequence[Judged]) -> int:
    """Of any prompt with any completion: mismatched ones go through the model too."""
    prompts = max((len(one.prompt) for one in examples), default=0)
    return prompts + max((len(one.completion) for one in examples), default=0)


def _evaluation(policy: Measured, settings: KTO, data: Preferences) -> Evaluation:
    if not data.evaluation:
        reason = "no rankings are held out"
        return Evaluation(missing=dict.fromkeys(("accuracy", "calibration", "agreement"), reason))

    def reference(packed: Pack) -> Tensor:
        with reference_active(policy.model):
            return policy.scorer(packed)  # type: ignore[no-any-return]

    score = implicit_rewards(policy.scorer, reference, settings.beta)
    return preferences(policy.packs(data.evaluation), score, seed=policy.spec.training.seed)
