"""A reward model on rankings: all pairs of a ranking in one batch element (InstructGPT, eq. 1).

Each completion is encoded once and has one reward; the loss runs over all pairs of the ranking,
with margins from the strength of the judgment (Llama 2, eq. 2) and ties as soft labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.engine.adapters import read_adapter
from training.engine.checkpoints import trainable_state
from training.engine.evaluation.report import Evaluation
from training.engine.groups import Group
from training.engine.losses import reward
from training.engine.losses.indices import pair_tensors, pair_weight
from training.engine.losses.metrics import pair_metrics
from training.engine.methods.curve import add_learning_curve
from training.engine.methods.session import (
    Session,
    evaluate_preferences,
    finish_session,
    keep_adapter,
    open_session,
    prepared_scorer,
    train_session,
)
from training.engine.objective import Outcome
from training.engine.packing import Pack
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.reward_head import RewardHead, load_head
from training.engine.scorers import Rewards
from training.engine.spec import Reward, RunSpec

NO_TEXT = Evaluation(
    missing=dict.fromkeys(
        ("general_text", "demonstrations", "length", "kl"), "a reward model writes no text"
    )
)


def run_reward(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Training, adapter with its head, evaluation."""
    settings = spec.reward or Reward()
    session = open_session(spec, folder, reporter, stop)
    device = session.accelerator.device
    head = first_head(session).to(device)
    at = "start" if session.base.kind == "encoder" else "end"
    scorer = Rewards(session.model, head, session.layout, at=at)  # type: ignore[arg-type]
    objective = RewardModel(scorer, settings)
    prepared = prepared_scorer(session.accelerator, scorer)
    initial = trainable_state(scorer)
    train_session(session, objective, prepared, scorer)
    keep_adapter(session, head=head)
    evaluation = evaluate_preferences(session, scorer, scorer).merged(NO_TEXT)
    finish_session(session, evaluation)
    if spec.evaluation.learning_curve:
        add_learning_curve(session, objective, prepared, scorer, initial, evaluation)


def first_head(session: Session) -> RewardHead:
    """The parent's, which lies beside its adapter and goes on with it; without one a fresh one.

    Raises SpecError for a parent's that cannot be read.
    """
    parent, seed = session.spec.parent, session.spec.training.seed
    if parent is not None:
        stored = read_adapter(Path(parent.adapter))
        if stored.is_reward_model:
            session.folder.update_manifest({"reward_head": "the parent's"})
            return load_head(stored.folder)
        session.reporter.warn(
            f"The parent is no reward model ({stored.card['method']}): the adapter goes on from "
            "it, with a fresh reward head."
        )
    session.folder.update_manifest({"reward_head": f"fresh, of seed {seed}"})
    return RewardHead(session.base.model.config.hidden_size, seed=seed)


@dataclass(frozen=True)
class RewardModel:
    scorer: Rewards
    spec: Reward

    def __call__(self, scores: Tensor, packed: Pack) -> Outcome:
        pairs = pair_tensors(packed)
        losses = reward.pairwise(
            scores,
            pairs.winners,
            pairs.losers,
            pairs.targets,
            pairs.margins,
            self.spec.centering,
        )
        count = torch.tensor(float(len(scores)), device=scores.device)
        metrics = {**pair_metrics(scores, pairs), "reward": (scores.detach().sum(), count)}
        return Outcome((pairs.weights * losses).sum(), metrics)

    def weight(self, groups: Sequence[Group]) -> float:
        return sum(map(pair_weight, groups))
