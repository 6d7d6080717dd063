"""The nouns of training, one a file."""

from training.models.adapter import TrainedAdapter
from training.models.evaluation import Evaluation, EvaluationAnswer, EvaluationState, Side
from training.models.loop import LoopEvent, LoopPolicy, LoopStep, Stage, StepState
from training.models.promotion import Promotion, PromotionKind, PromotionState
from training.models.rebuild import Rebuild
from training.models.rollout import RunRollout
from training.models.run import RunMetric, RunState, TrainingRun
from training.models.snapshot import Snapshot, SnapshotRanking, SnapshotState
from training.models.standing import Standing

__all__ = [
    "Evaluation",
    "EvaluationAnswer",
    "EvaluationState",
    "LoopEvent",
    "LoopPolicy",
    "LoopStep",
    "Promotion",
    "PromotionKind",
    "PromotionState",
    "Rebuild",
    "RunMetric",
    "RunRollout",
    "RunState",
    "Side",
    "Snapshot",
    "SnapshotRanking",
    "SnapshotState",
    "Stage",
    "Standing",
    "StepState",
    "TrainedAdapter",
    "TrainingRun",
]
