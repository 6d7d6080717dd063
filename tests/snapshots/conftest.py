"""Ada's project with a round, and people who rank it as a test says."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.core.files.storage import storages

from annotate.models import Claim, Project, Ranking, Role, Round, User
from annotate.services.projects import create_project
from annotate.services.rankings import Said, submit_ranking
from tests import cast
from training.models import Snapshot
from training.services.snapshots import create_snapshot
from training.services.snapshots.building import build_snapshot
from training.snapshots.spec import SnapshotSpec

Rank = Callable[..., Ranking]
Make = Callable[..., Snapshot]
Settings = Any


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, settings: Settings) -> None:
    """Snapshots of one test are not found by another."""
    backend = "django.core.files.storage.FileSystemStorage"
    here = {"BACKEND": backend, "OPTIONS": {"location": tmp_path / "snapshots"}}
    settings.STORAGES = {**settings.STORAGES, "snapshots": here}
    settings.SNAPSHOT_DRAFTS = tmp_path / "drafts"


@pytest.fixture
def ada(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def tone(ada: User) -> Project:
    return create_project(actor_id=ada.pk, slug="tone", name="Tone", strength=True)


@pytest.fixture
def lena(tone: Project) -> User:
    return cast.member(tone, "lena", Role.LABELER)


@pytest.fixture
def luis(tone: Project) -> User:
    return cast.member(tone, "luis", Role.LABELER)


@pytest.fixture
def round_one(tone: Project, ada: User) -> Round:
    """Three prompts, each with four answers, each for two labelers."""
    cast.add_prompts(tone, 3)
    round_ = cast.make_round(tone, ada, overlap=2)
    cast.write_completions(round_)
    return round_


@pytest.fixture
def rank(tone: Project) -> Rank:
    """Rank the labeler's next task by the answers' numbers, best tier first."""

    def ranked(
        labeler: User,
        *tiers: Sequence[int],
        strengths: Sequence[int | None] = (),
        unacceptable: Sequence[int] = (),
        demonstration: str = "",
    ) -> Ranking:
        claim = cast.claim(labeler, tone)
        held = Claim.objects.get(pk=claim.claim_id)
        numbers = dict(held.task.completions.values_list("pk", "number"))
        letter = {numbers[key]: name for key, name in zip(held.order, "ABCDEFGHI", strict=False)}
        said = Said(
            tiers=[[letter[number] for number in tier] for tier in tiers or [[0], [1], [2], [3]]],
            strengths=list(strengths),
            unacceptable={letter[number]: "wrong" for number in unacceptable},
            demonstration=demonstration,
        )
        receipt = submit_ranking(claim_id=held.pk, labeler_id=labeler.pk, key=uuid4(), said=said)
        return Ranking.objects.get(pk=receipt.id)

    return ranked


@pytest.fixture
def make(tone: Project, ada: User) -> Make:
    """Create a snapshot and build it, as the worker would."""

    def made(**choice: Any) -> Snapshot:
        snapshot = create_snapshot(project_id=tone.pk, actor_id=ada.pk, spec=SnapshotSpec(**choice))
        build_snapshot(snapshot_id=snapshot.pk)
        snapshot.refresh_from_db()
        return snapshot

    return made


def read(snapshot: Snapshot, name: str) -> bytes:
    with storages["snapshots"].open(f"{snapshot.content_hash}/{name}") as file:
        return bytes(file.read())


def rows(snapshot: Snapshot, name: str = "train/rankings.jsonl") -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in read(snapshot, name).splitlines()]


def folder_of(snapshot: Snapshot) -> Path:
    return Path(storages["snapshots"].path(snapshot.content_hash))
