"""A PPO run of the app whose answers a vLLM of their own samples, as TRAINING_ROLLOUTS_URL says."""

from typing import Any

import httpx
import pytest

from annotate.launch import plan
from annotate.launch.child import Child
from tests.loop.runs.conftest import Create, Settings
from tests.services import ENV
from training.engine.ppo.loop import UNCOUNTED
from training.models import RunMetric, RunRollout, RunState, TrainingRun
from training.services.runs import running, tidying

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.vllm,
]
SMALL: dict[str, Any] = {
    "base": {"precision": "fp32"},
    "lora": {"r": 8},
    "evaluation": {"answers": 0},
}


@pytest.fixture
def url(vllm: Child, settings: Settings) -> str:
    """The tests' own vLLM, which serves nobody else here."""
    (url,) = settings.INFERENCE_URLS
    settings.INFERENCE_URLS = []
    settings.TRAINING_ROLLOUTS_URL = url
    settings.TRAINING_ROLLOUTS_API_KEY = settings.INFERENCE_API_KEY
    settings.TRAINING_MODEL = str(plan.model_folder(ENV))
    settings.TRAINING_LAUNCH = ""
    return str(url)


def test_answers_come_from_the_actor_one_step_ago_at_most_and_nothing_is_left_behind(
    create: Create, url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # beside vLLM and the other tests
    before = served(url, settings.INFERENCE_API_KEY)
    judge = finished(ask(create, "reward", 1))
    answers = {"samples": 2, "max_new_tokens": 8, "temperature": 0.8, "minibatches": 1}
    run = finished(ask(create, "ppo", 3, ppo=answers, judge_id=judge.adapter.pk))
    lines = [one.values for one in RunMetric.objects.filter(run=run).order_by("position")]
    assert [line["rollout_age"] for line in lines] == [0, 1, 1]
    # Two engines round differently in 16 bit; another model would be a nat a token away.
    assert abs(lines[0]["mismatch_kl"]) < 0.05
    assert lines[0]["importance"] == pytest.approx(1, abs=0.1)
    assert RunRollout.objects.filter(run=run).count() == 3 * 2 * 2
    # The server is started as by `make run`, and tells them before the temperature.
    assert UNCOUNTED in run.warnings
    assert served(url, settings.INFERENCE_API_KEY) == before, "the last version is unloaded"
    assert not (tidying.folder_of(run).root / ".served").exists()


def ask(
    create: Create,
    method: str,
    steps: int,
    *,
    ppo: dict[str, Any] | None = None,
    judge_id: int | None = None,
) -> TrainingRun:
    values = {**SMALL, "training": {"max_steps": steps, "groups_per_step": 2}}
    if ppo is not None:
        values["ppo"] = ppo
    return create(method=method, preset="135m-cpu", values=values, judge_id=judge_id)


def finished(run: TrainingRun) -> TrainingRun:
    running.run_training(run_id=run.pk)
    run = TrainingRun.objects.get(pk=run.pk)
    assert run.state == RunState.FINISHED, (run.message, run.log)
    return run


def served(url: str, key: str) -> list[str]:
    headers = {"Authorization": f"Bearer {key}"}
    reply = httpx.get(f"{url}/v1/models", headers=headers, trust_env=False)
    return [str(one["id"]) for one in reply.json()["data"]]
