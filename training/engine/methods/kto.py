"""Kahneman-Tversky Optimization by TRL, from rankings (Ethayarajh et al. 2024, eq. 7 and 8).

KTO learns from single completions that are desirable or not. Of a ranking, the members of the best
tier are desirable and those of the worst tier are not; the tiers between say neither, and a ranking
without a strict comparison says nothing. Each ranking of a group counts by itself; weights of
rankings are not used, for KTO has none.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from torch import Tensor
from trl import KTOConfig, KTOTrainer

from training.engine.adapters import reference_active
from training.engine.base import refuse_longer
from training.engine.data import Preferences, load_preferences
from training.engine.errors import DataError
from training.engine.evaluation.judged import implicit_rewards
from training.engine.evaluation.preferences import preferences
from training.engine.evaluation.report import Evaluation
from training.engine.groups import Group, Ranking, Tokens
from training.engine.methods.measures import Measured, measure_policy, read_material
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
from training.engine.packing import Pack
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.spec import KTO, RunSpec

# A ranking gives a desirable and an undesirable completion at least.
ROWS_OF_A_GROUP = 2


@dataclass(frozen=True, slots=True)
class Judged:
    """A completion that is desirable, or not."""

    prompt: Tokens
    completion: Tokens
    desirable: bool


class _Trainer(EngineTrainer, KTOTrainer):  # type: ignore[misc]
    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        """Its tokens and its mismatched completions are the engine's already."""
        return dataset


def run_kto(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Training, adapter, evaluation on held-out rankings by implicit rewards."""
    settings = spec.kto or KTO()
    policy = open_policy(spec, folder, reporter, stop)
    reporter.phase("reading the data")
    data = load_preferences(spec.data, policy.base.tokenizer, method=spec.method)
    examples = shuffled(data.train, spec.training.seed)
    held_out = shuffled(data.evaluation, spec.training.seed)
    desirable, undesirable = balanced(settings, examples)
    longest = _longest((*examples, *held_out))
    refuse_longer(policy.base, longest)
    rows = rows_per_process(spec, ROWS_OF_A_GROUP)
    batch = batch_size(rows, longest, spec.training.tokens_per_pack, least=ROWS_OF_A_GROUP)
    counts = {"train": len(examples), "evaluation": len(held_out)}
    note(policy, data.report, data.content_hash, counts, batch * longest)
    material = read_material(spec, policy.base.tokenizer)
    run = policy.run(math.ceil(len(examples) / ROWS_OF_A_GROUP))
    trainer = build_trainer(
        _Trainer,
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
    language = measure_policy(measured, material, data.evaluation)
    finish_policy(policy, _evaluation(measured, settings, data).merged(language))


def judged(groups: Sequence[Group]) -> list[Judged]:
    """What rankings say of single completions, in their order."""
    return [
        Judged(group.prompt, group.completions[place], desirable)
        for group in groups
        for ranking in group.rankings
        for place, desirable in _extremes(ranking)
    ]


def _extremes(ranking: Ranking) -> Iterator[tuple[int, bool]]:
    """Of the best and of the worst tier, who wins or loses a comparison that is no tie.

    With data.unacceptable "drop_winners" an unacceptable completion wins none, so it is never
    desirable.
    """
    strict = [pair for pair in ranking.pairs if pair.target == 1]
    winners, losers = {pair.winner for pair in strict}, {pair.loser for pair in strict}
    yield from ((place, True) for place in ranking.tiers[0] if place in winners)
    yield from ((place, False) for place in ranking.tiers[-1] if place in losers)


def shuffled(groups: Sequence[Group], seed: int) -> list[Judged]:
    """In the order of training: TRL takes KTO's examples in sequence, epoch after epoch."""
    found = judged(groups)
    random.Random(seed).shuffle(found)  # noqa: S311 - an order, not a secret
    return found


def balanced(settings: KTO, examples: Sequence[Judged]) -> tuple[float, float]:
    """The weights of desirable and undesirable losses.

    The rarer kind is raised until both weigh the same over the data (eq. 8 asks for a ratio of 1 to
    4/3), then the spec's weights apply. Raises DataError when there is only one kind.
    """
    good = sum(one.desirable for one in examples)
    bad = len(examples) - good
    if not (good and bad):
        raise DataError(
            "KTO needs desirable and undesirable completions, and the rankings have only "
            f"{'desirable' if good else 'undesirable' if bad else 'tied'} ones.",
            advice="Give rankings with two tiers or more.",
        )
    return (
        settings.desirable_weight * max(1.0, bad / good),
        settings.undesirable_weight * max(1.0, good / bad),
    )


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
