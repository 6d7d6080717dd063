"""The whole loop by the roles of the compose file, which share no more than the file says.

vLLM and the engine are scripted; what is tried is where files are, with a folder and with a bucket.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from annotate.models import Completion, Project, Role
from annotate.services.projects import create_project
from inference.models import Adapter
from tests import cast
from tests.docker.roles import ROLES, Hosts, running
from tests.inference.fake_vllm import FakeVllm
from tests.patience import PATIENCE_S
from tests.whole_loop import (
    Person,
    open_round,
    rank_everything,
    turn,
    wait,
    wait_until_written,
)
from training.models import Evaluation, TrainedAdapter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3 * PATIENCE_S)]
BUCKET = "prefloop-roles"
KEY = "only-in-tests"
SAMPLING = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 16}
POLICY: dict[str, Any] = {
    "run": {"method": "dpo", "values": {"training": {"max_steps": 3}}},
    "judge": {"train": False, "values": {}},
    "evaluation": {"prompts": 2, "max_tokens": 16},
    "gate": {"max_length_ratio": 100.0},
    "promotion": "automatic",
    "next_round": {"prompts": "same", "sample": 3, "k": 2, "overlap": 1, **SAMPLING},
}


def lower(text: str) -> float:
    """The hidden rule: the scripted vLLM numbers its answers."""
    return -float(text.split()[-1])


class ReadingVllm(FakeVllm):
    """It loads what lies where it is told, and keeps the hash of what it read there."""

    def __init__(self, served: Path) -> None:
        self.served = served
        self.read: dict[str, str] = {}
        super().__init__({"tiny": ""})
        self.max_loras, self.api_key = 6, KEY

    def look_at(self) -> None:
        """All that is loaded is there, whole, in the one folder that it shares with the worker."""
        for name, folder in self.folders.items():
            path = Path(folder)
            assert path.resolve().parent == self.served.resolve(), name
            card = json.loads((path / "adapter.json").read_text())
            for file, expected in card["files"].items():
                assert hashlib.sha256((path / file).read_bytes()).hexdigest() == expected
            self.read[name] = card["sha256"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables of a bucket on a server of its own."""
    keys = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.resource("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
    yield {**keys, "STORAGE_URL": f"s3://{BUCKET}/loop", "STORAGE_ENDPOINT_URL": address}
    server.stop()


@pytest.fixture
def project(db: None) -> Project:
    project = create_project(actor_id=cast.person("ada").pk, slug="tone", name="Tone")
    cast.member(project, "lena", Role.LABELER)
    return project


@pytest.mark.parametrize("storage", ["folder", "bucket"])
def test_the_loop_turns_when_roles_share_only_what_is_mounted(
    storage: str,
    project: Project,
    valkey: object,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model = tmp_path / "tiny"
    model.mkdir()
    bucket: dict[str, str] = request.getfixturevalue("s3") if storage == "bucket" else {}
    with ReadingVllm(tmp_path / "volumes" / "served") as vllm:
        hosts = Hosts(
            tmp_path,
            {
                "INFERENCE_URL": vllm.url,
                "INFERENCE_API_KEY": KEY,
                "TRAINING_MODEL": str(model),
                "TRAINING_LAUNCH": f"{sys.executable} -m tests.loop.runs.fake_engine trains",
                **bucket,
            },
            # Each role on a machine of its own; only vLLM stands beside the worker.
            apart=("training", "models") if bucket else (),
        )
        with running(hosts):
            learned = turned(Person(hosts.url, "tone"), Person(hosts.url, "tone"))
            vllm.look_at()
            assert vllm.read[f"tiny@{learned.content_hash[:16]}"] == learned.content_hash
            if bucket:
                comes_back(hosts, vllm, learned)
        assert {role: hosts.written_beside(role) for role in ROLES} == {role: [] for role in ROLES}


def turned(ada: Person, lena: Person) -> TrainedAdapter:
    """From prompts to a round that is written by what was learned."""
    ada.sign_in("ada", cast.PASSWORD)
    lena.sign_in("lena", cast.PASSWORD)
    lines = "\n".join(json.dumps({"prompt": f"What is {n} plus {n}?"}) for n in range(40))
    ada.post("prompts/import", {"text": lines, "format": "jsonl"})
    wait("vLLM", lambda: any(m["available"] for m in ada.get("models")["results"]), PATIENCE_S)
    asked = {"split": "train", "sample": 4}
    first = open_round(ada, prompts=asked, k=2, sources=[{"follows": True, **SAMPLING}])
    wait_until_written(ada, first, PATIENCE_S)
    assert rank_everything([lena], lower) == 4
    ada.put("loop", {"settings": POLICY, "active": False})
    step = turn(ada, PATIENCE_S)
    assert (step["state"], step["promoted"]) == ("done", True), step["message"]
    evaluation = Evaluation.objects.get()
    assert (evaluation.state, evaluation.answers.count()) == ("ready", 4)
    wait_until_written(ada, first + 1, PATIENCE_S)
    learned = TrainedAdapter.objects.get()
    written = Completion.objects.filter(task__round__number=first + 1)
    assert {one.adapter_hash for one in written} == {learned.content_hash}
    assert "adapter.json" in ada.get(f"adapters/{learned.number}")["files"]
    assert ada.get("snapshots/1/rows")["rows"], "the site hands out what others made"
    return learned


def comes_back(hosts: Hosts, vllm: ReadingVllm, learned: TrainedAdapter) -> None:
    """The worker's machine loses its files, and vLLM starts anew."""
    for name in ("training", "served"):
        volume = hosts.volume(name, "worker")
        for path in volume.iterdir():
            shutil.rmtree(path)
    vllm.restart()
    name = f"tiny@{learned.content_hash[:16]}"
    wait("the adapter", lambda: name in vllm.models, PATIENCE_S)
    vllm.look_at()
    assert Adapter.objects.get(content_hash=learned.content_hash).state == "serving"
