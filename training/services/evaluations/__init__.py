"""Evaluations: asked for, answered by both sides, judged by a reward model, reported."""

from training.services.evaluations.asking import (
    ANSWER,
    JUDGE,
    SERVE,
    cancel_evaluation,
    create_evaluation,
    fail_evaluation,
    newest_judge,
    retry_evaluation,
)

__all__ = [
    "ANSWER",
    "JUDGE",
    "SERVE",
    "cancel_evaluation",
    "create_evaluation",
    "fail_evaluation",
    "newest_judge",
    "retry_evaluation",
]
