"""Direct Preference Optimization on rankings as they are (Rafailov et al. 2023).

One forward of a packed group gives the log-probabilities of its K completions; the loss sums over
all pairs of the ranking (eq. 7), or takes the ranking as a whole (Plackett-Luce, appendix A.3). The
implicit reward of a completion is beta * (log pi - log pi_ref).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor

from training.engine.adapters import read_adapter, reference_active
from training.engine.checkpoints import trainable_state
from training.engine.evaluation.drift import k3
from training.engine.evaluation.judged import implicit_rewards
from training.engine.groups import Group
from training.engine.layout import check_head
from training.engine.losses import listwise, pairwise
from training.engine.losses.indices import (
    Pairs,
    choice_tensors,
    choice_weight,
    pair_tensors,
    pair_weight,
)
from training.engine.losses.metrics import pair_metrics
from training.engine.methods.curve import add_learning_curve, groups_of_curve
from training.engine.methods.measures import Measured, measure_policy, read_material
from training.engine.methods.session import (
    Session,
    evaluate_preferences,
    finish_session,
    keep_adapter,
    open_session,
    plan_on,
    prepared_scorer,
    steps_of,
    train_session,
)
from training.engine.objective import Outcome
from training.engine.packing import Pack, pack
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.reference import ReferenceCache
from training.engine.scorers import LogProbs
from training.engine.spec import DPO, RunSpec
from training.engine.stopping import end_if_asked

Reference = Callable[[Pack], Tensor]


def run_dpo(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Reference log-probabilities, training, adapter, evaluation."""
    settings = spec.dpo or DPO()
    session = open_session(spec, folder, reporter, stop)
    material = read_material(spec, session.base.tokenizer)
    scorer = LogProbs(session.model, session.layout)
    check_head(scorer)
    prepared = prepared_scorer(session.accelerator, scorer)
    with reference_cache(session, prepared) as cache:
        objective = Preference(scorer, cache.get, settings)
        initial = trainable_state(scorer)
        score = implicit_rewards(scorer, cache.get, settings.beta)
        train_session(session, objective, prepared, score)
        keep_adapter(session)
        sharded = session.accelerator.is_fsdp2
        policy = Measured(spec, session.base, scorer, session.packs, session.stop, sharded)
        language = measure_policy(policy, material, session.data.evaluation)
        evaluation = evaluate_preferences(session, scorer, score).merged(language)
        finish_session(session, evaluation)
        if spec.evaluation.learning_curve:
            add_learning_curve(session, objective, prepared, score, initial, evaluation)


@contextmanager
def reference_cache(session: Session, scorer: torch.nn.Module) -> Iterator[ReferenceCache]:
    """The reference's log-probabilities of the groups that the run uses, computed where the file
    has none yet."""
    cache = ReferenceCache(_cache_file(session), _identity(session))
    try:
        _fill(session, cache, scorer)
        yield cache
    finally:
        cache.close()


def _cache_file(session: Session) -> Path:
    given = session.spec.dpo.reference_cache if session.spec.dpo else None
    return session.folder.resolve(given or "reference.sqlite")


def _identity(session: Session) -> str:
    """What the reference is: another one has other log-probabilities."""
    spec, parent = session.spec, session.spec.parent
    held_to = parent if parent is not None and parent.use != "continue" else None
    adapter = read_adapter(Path(held_to.adapter)).content_hash if held_to else ""
    parts = (session.base.content_hash, spec.base.precision.value, adapter)
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def used_groups(session: Session) -> list[Group]:
    """The groups that a step takes, those of the learning curve, and all that are held out."""
    train = session.data.train
    used = [train[number] for number in plan_on(session, train, steps_of(session)).used()]
    if session.spec.evaluation.learning_curve:
        used += groups_of_curve(session)
    used += session.data.evaluation
    return list({id(group): group for group in used}.values())


@torch.no_grad()
def _fill(session: Session, cache: ReferenceCache, scorer: torch.nn.Module) -> None:
    """Each process takes its share of what is missing; all of them run as many forwards."""
    accelerator, groups = session.accelerator, used_groups(session)
    # One of them looks: another run may fill the same file while the others look.
    missing: list[list[int]] = [cache.missing(groups) if accelerator.is_main_process else []]
    broadcast_object_list(missing)
    batches = session.batches([groups[number] for number in missing[0]])
    rank, ranks = accelerator.process_index, accelerator.num_processes
    rounds = -(-len(batches) // ranks)
    session.reporter.phase("reference log-probabilities", rounds)
    scorer.eval()
    with reference_active(session.model):
        for number in range(rounds):
            packed = pack(batches[min(number * ranks + rank, len(batches) - 1)])
            packed = packed.to(accelerator.device)
            cache.put(packed, scorer(packed))
            session.reporter.progress(number + 1)
            end_if_asked(session.stop, "while the reference's log-probabilities were computed")
    accelerator.wait_for_everyone()


@dataclass(frozen=True)
class Preference:
    """The objective of DPO, IPO and Plackett-Luce DPO.

    reference: the frozen model's (N,) log-probabilities of a pack's completion tokens.
    """

    scorer: LogProbs
    reference: Reference
    spec: DPO

    def __call__(self, scores: Tensor, packed: Pack) -> Outcome:
        reference = self.reference(packed)
        ratios = packed.sums(scores - reference)
        rewards = self.spec.beta * ratios
        pairs = pair_tensors(packed)
        loss = self._preference_loss(packed, pairs, ratios)
        if self.spec.sft_weight:
            loss = loss + self.spec.sft_weight * _imitation(packed, packed.sums(scores))
        drift = _kl(scores.detach(), reference)
        return Outcome(loss, {**pair_metrics(rewards, pairs), "kl": drift})

    def weight(self, groups: Sequence[Group]) -> float:
        of = choice_weight if self.spec.loss == "plackett_luce" else pair_weight
        return sum(map(of, groups))

    def _preference_loss(self, packed: Pack, pairs: Pairs, ratios: Tensor) -> Tensor:
        if self.spec.loss == "plackett_luce":
            made = choice_tensors(packed)
            losses = listwise.choice_losses(self.spec.beta * ratios, made)
            return (made.weights * losses).sum()
        if self.spec.loss == "ipo":
            deltas = pairs.differences(ratios / packed.lengths.to(ratios.device))
            losses = pairwise.ipo(deltas, pairs.targets, self.spec.beta)
        else:
            margins = self.spec.beta * pairs.differences(ratios)
            losses = pairwise.sigmoid(margins, pairs.targets, self.spec.label_smoothing)
        return (pairs.weights * losses).sum()


def _imitation(packed: Pack, logprobs: Tensor) -> Tensor:
    """Negative log-likelihood a token of the best tier, weighted as its rankings.

    The term that RPO (Pang et al. 2024, eq. 1) adds to keep the likelihood of what was chosen up.
    What only ties, or is unacceptable and may not win, was not chosen.
    """
    per_token = -logprobs / packed.lengths.to(logprobs.device)
    weights = torch.zeros_like(per_token)
    first = 0
    for group in packed.groups:
        for ranking in group.rankings:
            won = {pair.winner for pair in ranking.pairs if pair.target == 1}
            best = won.intersection(ranking.tiers[0])
            for member in best:
                weights[first + member] += ranking.weight / len(best)
        first += len(group.completions)
    return (weights * per_token).sum()


def _kl(logprobs: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and count of Schulman's k3 over the tokens of the data: how far the policy has moved.

    The data are not the policy's own samples, so this follows the divergence without being it;
    `evaluation.drift` measures that.
    """
    divergence = k3(logprobs, reference)
    return divergence.sum(), torch.tensor(float(len(divergence)), device=divergence.device)
