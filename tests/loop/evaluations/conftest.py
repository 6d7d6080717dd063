"""Ada's project with held-out prompts, adapters that nobody trained, and a scripted vLLM."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from annotate.models import Project, Prompt, User
from annotate.services.projects import create_project
from inference import selftest
from tests import cast
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import look
from tests.loop.trained import make_adapter
from training.evaluation.settings import EvaluationSettings
from training.models import Evaluation, TrainedAdapter
from training.services.evaluations import answering, create_evaluation

Settings = Any
Make = Callable[..., TrainedAdapter]
Evaluate = Callable[..., Evaluation]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = "django.core.files.storage.FileSystemStorage"
    here = {"BACKEND": backend, "OPTIONS": {"location": tmp_path / "stored"}}
    settings.STORAGES = {**settings.STORAGES, "adapters": here}
    settings.INFERENCE_ADAPTER_FOLDER = tmp_path / "served"
    settings.TRAINING_SCORES = tmp_path / "scores"
    monkeypatch.setattr(selftest, "PROBES", selftest.PROBES[:2])
    monkeypatch.setattr(answering, "LOOK_AGAIN_S", 0.05)


@pytest.fixture
def ada(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def tone(ada: User) -> Project:
    return create_project(actor_id=ada.pk, slug="tone", name="Tone")


@pytest.fixture
def held_out(tone: Project) -> list[Prompt]:
    """Four, in the order in which an evaluation takes them."""
    prompts = cast.add_prompts(tone, 4, split="held_out")
    return sorted(prompts, key=lambda prompt: prompt.content_hash)


@pytest.fixture
def vllm(settings: Settings, db: None) -> Iterator[FakeVllm]:
    """A replica that serves the model "base" and is ready."""
    with FakeVllm() as fake:
        settings.INFERENCE_URLS = [fake.url]
        settings.INFERENCE_API_KEY = ""
        look()
        yield fake


@pytest.fixture
def make(tone: Project, ada: User, tmp_path: Path) -> Make:
    def made(**values: Any) -> TrainedAdapter:
        return make_adapter(tone, ada, tmp_path / "written", **values)

    return made


@pytest.fixture
def evaluate(tone: Project, ada: User, held_out: list[Prompt], make: Make) -> Evaluate:
    """An evaluation that waits for its job; without choice of a new adapter against the base."""

    def evaluated(**choice: Any) -> Evaluation:
        candidate = choice.pop("candidate", None) or make()
        chosen: dict[str, Any] = {"incumbent_id": None, "judge_id": None, **choice}
        return create_evaluation(
            project_id=tone.pk,
            actor_id=ada.pk,
            candidate_id=candidate.pk,
            settings=EvaluationSettings(**chosen.pop("settings", {})),
            **chosen,
        )

    return evaluated
