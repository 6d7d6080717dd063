"""Material of the pages about training: rankings frozen into a snapshot, and runs in every state.

Runs are rows as a worker leaves them: what a real run writes is tested elsewhere.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from annotate.models import Project, User
from tests import cast
from tests.browser.conftest import Say
from training.models import RunMetric, RunState, Snapshot, TrainedAdapter, TrainingRun
from training.services.snapshots import create_snapshot
from training.services.snapshots.building import build_snapshot
from training.snapshots.spec import SnapshotSpec

PARTS = [
    {"name": "weights, fp32", "mb": 513.0, "when": "always"},
    {"name": "LoRA, fp32", "mb": 18.6, "when": "always"},
    {"name": "optimizer, adamw", "mb": 37.3, "when": "always"},
    {"name": "activations", "mb": 2900.0, "when": "training"},
    {"name": "logits, a chunk", "mb": 193.0, "when": "moment"},
]
MEMORY: dict[str, Any] = {
    "parts": PARTS,
    "total_mb": 3662.0,
    "weights_mb": 513.0,
    "inference_mb": 616.0,
    "device": "cpu",
    "available_mb": 12000.0,
    "fits": True,
}
SPEC: dict[str, Any] = {
    "method": "dpo",
    "base": {"model": "smollm2-135m-instruct", "precision": "fp32"},
    "optimizer": {"lr": 5e-5},
    "training": {"epochs": 1.0, "max_steps": None},
    "dpo": {"beta": 0.1},
}
MADE: dict[str, Any] = {
    "versions": {"python": "3.11", "torch": "2.13.0", "trl": None},
    "seeds": {"training": 7},
    "data": {"sha256": "ab" * 32},
    "git": {"revision": "c" * 40, "changed": False},
    "device": {"type": "cpu", "threads": 2, "cores": 2},
}


def estimate(value: float) -> dict[str, Any]:
    ends = {"low": value - 0.08, "high": value + 0.08}
    return {"value": value, **ends, "count": 40, "clusters": 12, "method": "cluster_bootstrap"}


MEASURED: dict[str, Any] = {
    "version": 2,
    "accuracy": estimate(0.71),
    "accuracy_by_strength": [
        {"strength": 1, "accuracy": estimate(0.62)},
        {"strength": 3, "accuracy": estimate(0.84)},
    ],
    "calibration": {"error": 0.06, "brier": 0.2, "log_loss": 0.59, "count": 40, "bins": []},
    "agreement": {
        "pairwise": None,
        "reason": "no task has two rankings",
        "others_majority_accuracy": None,
        "others_reason": "no task has three rankings",
        "ties": "half",
    },
    "general_text": None,
    "demonstrations": None,
    "length": {"trained": 41.5, "base": 44.0, "difference": estimate(-2.5)},
    "kl": {"per_token": estimate(0.12), "per_completion": 4.2, "tokens": 900},
    "learning_curve": None,
    "missing": {"general_text": "the spec names no general text", "demonstrations": "none"},
}


def freeze(project: Project, **choice: Any) -> Snapshot:
    """A snapshot of the project's rankings, built as the worker would."""
    ada = User.objects.get(username="ada")
    snapshot = create_snapshot(project_id=project.pk, actor_id=ada.pk, spec=SnapshotSpec(**choice))
    build_snapshot(snapshot_id=snapshot.pk)
    snapshot.refresh_from_db()
    return snapshot


def rank_some(project: Project, say: Say, *, prompts: int = 12) -> None:
    """A round over prompts of both sides that Lena ranked; Luis ranked some of it as well."""
    cast.add_prompts(project, prompts, split=None)
    round_ = cast.make_round(project, User.objects.get(username="ada"), overlap=2)
    cast.write_completions(round_)
    for number in range(prompts):
        say("lena", *("ABCD" if number % 3 else ("B", "AD", "C")))
    for _ in range(prompts // 2):
        say("luis")


def make_run(snapshot: Snapshot, state: RunState = RunState.FINISHED, **more: Any) -> TrainingRun:
    now = timezone.now()
    ended = state not in (RunState.QUEUED, RunState.RUNNING)
    held = {"lease": uuid4(), "heartbeat_at": now} if state == RunState.RUNNING else {}
    values: dict[str, Any] = {
        "method": "dpo",
        "preset": "135m-cpu",
        "spec": SPEC,
        "estimate": MEMORY,
        "created_by": User.objects.get(username="ada"),
        "finished_at": now if ended else None,
        **held,
        **more,
    }
    return TrainingRun.objects.create(
        project=snapshot.project,
        number=TrainingRun.objects.filter(project=snapshot.project).count() + 1,
        snapshot=snapshot,
        state=state,
        **values,
    )


def make_adapter(run: TrainingRun) -> TrainedAdapter:
    """As the list and the links show it; it has no files."""
    return TrainedAdapter.objects.create(
        project=run.project,
        number=TrainedAdapter.objects.filter(project=run.project).count() + 1,
        run=run,
        base="smollm2-135m-instruct",
        content_hash=f"{run.number:064x}",
        bytes=9_800_000,
    )


def log_steps(run: TrainingRun, first: int, last: int, *, of: int = 60) -> None:
    """Lines of metrics as the engine writes them, and the run's progress."""
    begin = datetime(2026, 3, 1, 9, tzinfo=UTC)
    RunMetric.objects.bulk_create(
        RunMetric(run=run, position=step - 1, values=_line(step, of, begin))
        for step in range(first, last + 1)
    )
    TrainingRun.objects.filter(pk=run.pk).update(
        step=last, steps=of, phase="training", heartbeat_at=timezone.now()
    )


def _line(step: int, of: int, begin: datetime) -> dict[str, Any]:
    wave = math.sin(step * 1.7) * 0.03
    values: dict[str, Any] = {
        "step": step,
        "steps": of,
        "epoch": step / of,
        "loss": round(0.69 * math.exp(-step / 50) + wave + 0.05, 4),
        "accuracy": round(min(0.95, 0.5 + step / 130 + wave), 3),
        "margin": round(step * 0.02 + wave, 4),
        "chosen": round(step * 0.008, 4),
        "rejected": round(-step * 0.012, 4),
        "kl": round(step * 0.004, 4),
        "lr": 5e-5 * (1 - step / (of + 1)),
        "grad_norm": round(2.5 + wave * 20, 3),
        "tokens": step * 2100,
        "tokens_per_s": round(410 + wave * 400, 1),
        "memory_mb": 3100.0 + min(step, 10) * 20,
        "eta_s": (of - step) * 5.0,
        "time": (begin + timedelta(seconds=5 * step)).isoformat(),
    }
    if step % 10 == 0:
        values |= {"evaluation_accuracy": 0.5 + step / 200, "evaluation_log_loss": 0.7 - step / 400}
    return values
