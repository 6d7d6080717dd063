"""PPO through the app: its judge, the server that samples its answers, its memory."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotate.models import Project, User
from tests import cast
from tests.loop.runs.conftest import Create, Settings
from tests.loop.runs.material import fake
from tests.loop.trained import make_adapter
from tests.training.tiny import save_tiny
from training.engine.spec import Method
from training.management.commands import train
from training.models import RunState, Snapshot, TrainedAdapter, TrainingRun
from training.runs import memory
from training.services.runs import running, tidying

pytestmark = pytest.mark.django_db
SERVER, KEY = "http://rollouts:8000", "key-of-the-rollouts"


@pytest.fixture
def judge(tone: Project, ada: User, tmp_path: Path) -> TrainedAdapter:
    return make_adapter(tone, ada, tmp_path / "written", base="tiny", method="reward")


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the environment of the machine that trains."""
    settings.TRAINING_ROLLOUTS_URL, settings.TRAINING_ROLLOUTS_API_KEY = SERVER, KEY
    monkeypatch.setenv("TRAINING_ROLLOUTS_URL", SERVER)
    monkeypatch.setenv("TRAINING_ROLLOUTS_API_KEY", KEY)
    settings.TRAINING_LAUNCH = fake("cannot_sample")


def ended(run: TrainingRun) -> tuple[TrainingRun, dict[str, Any], dict[str, str]]:
    """As the database has it, the engine's spec, and the engine's environment."""
    running.run_training(run_id=run.pk)
    folder = tidying.folder_of(run).root
    spec, told = (json.loads((folder / name).read_text()) for name in ("spec.json", "told.json"))
    return TrainingRun.objects.get(pk=run.pk), spec, told


def test_the_engine_is_told_where_to_sample_and_nobody_else_is(
    create: Create, judge: TrainedAdapter, server: None
) -> None:
    run, spec, told = ended(create(method="ppo", judge_id=judge.pk))
    assert spec["ppo"]["server"] == SERVER
    assert (told["VLLM_API_KEY"], told.get("TRAINING_ROLLOUTS_API_KEY")) == (KEY, None)
    assert run.spec["ppo"]["server"] is None
    stored = json.dumps(TrainingRun.objects.values().get(pk=run.pk), default=str)
    assert KEY not in stored
    assert "the key is •••" in run.log
    written = tidying.folder_of(run).root.rglob("*.json*")
    assert not [one for one in written if one.name != "told.json" and KEY in one.read_text()]


def test_what_is_wrong_with_the_server_is_said_by_the_name_of_the_setting(
    create: Create, judge: TrainedAdapter, server: None
) -> None:
    run, _, _ = ended(create(method="ppo", judge_id=judge.pk))
    assert run.state == RunState.FAILED
    assert run.message == f"TRAINING_ROLLOUTS_URL: no vLLM answers at {SERVER}."


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_other_methods_get_neither_address_nor_key(
    create: Create,
    judge: TrainedAdapter,
    server: None,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "of a vLLM on the same machine")
    judge_id = judge.pk if method == "grpo" else None
    _, spec, told = ended(create(method=method, judge_id=judge_id))
    assert spec["ppo"] is None
    assert SERVER not in json.dumps(spec)
    names = {"TRAINING_ROLLOUTS_URL", "TRAINING_ROLLOUTS_API_KEY", "VLLM_API_KEY"}
    assert not names & told.keys()


def test_without_a_server_the_trainer_samples_itself(
    create: Create, judge: TrainedAdapter, settings: Settings
) -> None:
    settings.TRAINING_LAUNCH = fake("cannot_sample")
    _, spec, told = ended(create(method="ppo", judge_id=judge.pk))
    assert spec["ppo"]["server"] is None
    assert "VLLM_API_KEY" not in told


def test_from_the_command_line(
    snapshot: Snapshot, ada: User, judge: TrainedAdapter, settings: Settings
) -> None:
    words = ["tone", "--as", "ada", "--snapshot", "1", "--method", "ppo", "--preset", "135m-cpu"]
    out = io.StringIO()
    call_command("train", *words, "--judge", str(judge.number), stdout=out)
    run = TrainingRun.objects.get(method="ppo")
    assert (out.getvalue(), run.judge) == (f"run {run.number}\n", judge)
    assert run.spec["ppo"]["rewards"] == [f"adapters/{judge.content_hash}"]
    with pytest.raises(CommandError, match="choose one as the judge"):
        call_command("train", *words)


def test_the_command_names_every_method() -> None:
    said = " ".join(train.Command().create_parser("manage.py", "train").format_help().split())
    assert ", ".join(Method) in said
    assert "ppo" in said


def test_its_memory_is_estimated_with_its_judge(
    ada: User,
    snapshot: Snapshot,
    judge: TrainedAdapter,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the real engine; the adapters need not be there."""
    save_tiny("llama", Path(settings.TRAINING_MODEL))
    client = cast.signed_in(ada)
    address = "/api/projects/tone/runs/estimate"
    body = {"snapshot": 1, "method": "ppo", "preset": "135m-cpu", "values": {}}

    refused = client.post(address, body, format="json")
    assert refused.status_code == 400
    assert "choose one as the judge" in refused.json()["error"]["fields"]["judge"][0]

    asked = {**body, "judge": judge.number}
    found = client.post(address, asked, format="json").json()
    parts = {part["name"]: part["mb"] for part in found["estimate"]["parts"]}
    assert parts["LoRA of all roles, fp32"] > parts["gradients, fp32"] > 0
    assert parts["KV cache of rollouts"] > 0
    assert found["spec"]["ppo"]["samples"] == 2

    settings.TRAINING_ROLLOUTS_URL = SERVER
    seen: list[str] = []

    def answer(file: Path) -> dict[str, Any]:
        seen.append(json.loads(file.read_text())["ppo"]["server"])
        return {"rows": [], "training": 0, "inference": 0}

    monkeypatch.setattr(memory, "_asked", answer)
    there = client.post(address, asked, format="json").json()
    assert seen == [SERVER], "then the cache is the server's, and the estimate another one"
    assert SERVER not in json.dumps(there)
