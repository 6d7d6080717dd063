"""A project with a snapshot that is ready, made without labeling anything."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from annotate.models import Project, User
from training.models import Snapshot, SnapshotState
from training.snapshots.files import CARD, content_hash, write_manifest
from training.snapshots.spec import SnapshotSpec

ADJECTIVES = ("red", "old", "small", "warm", "loud", "soft", "dark", "thin", "new", "wet")
SMALL: dict[str, Any] = {"training": {"max_steps": 3}}


def ranking(number: int, split: str = "train") -> dict[str, Any]:
    """Short answers are better: a rule that a tiny model can learn."""
    word = ADJECTIVES[number % len(ADJECTIVES)]
    answers = [f"{word} " * count for count in (1, 4, 9)]
    return {
        "prompt": [{"role": "user", "content": f"Describe thing {number}."}],
        "completions": [
            {"id": number * 10 + n, "text": text.strip(), "finish_reason": "stop"}
            for n, text in enumerate(answers)
        ],
        "task_id": number,
        "ranking_id": number,
        "labeler": "lena",
        "tiers": [[0], [1], [2]],
        "strengths": [1, 2],
        "unacceptable": [False, False, False],
        "split": split,
        "counted": True,
        "documents_json": "[]",
    }


def ready_snapshot(project: Project, owner: User, folder: Path, *, rows: int = 8) -> Snapshot:
    """`rows` rankings to train on and a quarter as many held out; no demonstrations.

    folder: an empty one, where the files are drafted.
    """
    for side, count in (("train", rows), ("held_out", max(1, rows // 4))):
        (folder / side).mkdir(parents=True)
        lines = (json.dumps(ranking(number, side)) + "\n" for number in range(count))
        (folder / side / "rankings.jsonl").write_text("".join(lines))
    (folder / CARD).write_text("# Preferences\n")
    manifest = write_manifest(folder, project.slug, SnapshotSpec(), _counts(rows))
    digest = content_hash(folder)
    for path in folder.rglob("*"):
        place = f"{digest}/{path.relative_to(folder)}"
        if path.is_file() and not storages["snapshots"].exists(place):
            storages["snapshots"].save(place, ContentFile(path.read_bytes()))
    number = Snapshot.objects.filter(project=project).count() + 1
    return Snapshot.objects.create(
        project=project,
        number=number,
        state=SnapshotState.READY,
        spec=SnapshotSpec().as_dict(),
        content_hash=digest,
        manifest=manifest,
        created_by=owner,
        finished_at=timezone.now(),
    )


def _counts(rows: int) -> dict[str, Any]:
    names = ("prompts", "tasks", "rankings", "rows", "comparisons", "ties", "all_bad")
    side = {**dict.fromkeys(names, rows), "demonstrations": 0}
    agreement = {"tasks": 0, "comparisons": 0, "alike": 0, "rate": None}
    more: dict[str, Any] = {"labelers": 1, "rounds": [1], "models": [], "agreement": agreement}
    return {"train": side, "held_out": side, **more}


def fake(script: str) -> str:
    """A TRAINING_LAUNCH that runs a script in the engine's place."""
    return f"{sys.executable} -m tests.loop.runs.fake_engine {script}"
