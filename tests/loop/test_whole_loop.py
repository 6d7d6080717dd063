"""A whole turn of the loop: real vLLM, bundled model, QLoRA on NF4, hot swap, through the API.

Labelers rank by a rule that nobody told the model. Small: what the model learns in so few steps is
the benchmark `loop`'s business.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.core.files.storage import storages

from annotate.launch.child import Child
from annotate.models import Completion, Project, Prompt, Ranking, Role, RoundSource, Split
from annotate.services.projects import create_project
from inference.models import Adapter
from tests import cast
from tests.patience import PATIENCE_S
from tests.services import Site
from tests.whole_loop import (
    Person,
    open_round,
    rank_everything,
    shorter,
    turn,
    wait,
    wait_until_written,
)
from training.models import LoopStep, Promotion, Snapshot, TrainedAdapter, TrainingRun
from training.services.runs import tidying

WITHIN_S = 1500  # beside the other groups of tests; alone a turn takes three minutes
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.vllm,
    pytest.mark.timeout(2 * WITHIN_S),
]
SAMPLING = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 16}
PROMPTS = [
    "Name a river in Europe.",
    "Write one sentence about bread.",
    "Why is the sky blue?",
    "Give a synonym of happy.",
    "What is a lighthouse for?",
    "How do bees make honey?",
    "Name three colours.",
    "What does a baker do?",
]
SUMS = [f"What is {n} plus {n}?" for n in range(30)]
SMALL = {
    "lora": {"r": 8},
    "data": {"max_prompt_tokens": 64, "max_completion_tokens": 32},
    "evaluation": {"answers": 0},
}
TWO_STEPS = {"training": {"max_steps": 2, "groups_per_step": 4}}
POLICY: dict[str, Any] = {
    "run": {
        "method": "dpo",
        "preset": "135m-cpu",
        "values": {**SMALL, **TWO_STEPS, "base": {"precision": "nf4"}},
    },
    "judge": {
        "train": True,
        "preset": "135m-cpu",
        "values": {**SMALL, "training": {"max_steps": 1, "groups_per_step": 4}},
    },
    "evaluation": {"prompts": 2, "max_tokens": 16},
    # So few steps teach nothing: whatever the judge says, it is promoted.
    "gate": {"min_win_rate": 0.0, "max_length_ratio": None},
    "promotion": "automatic",
    "next_round": {"prompts": "same", "sample": 3, "k": 2, "overlap": 1, **SAMPLING},
}
PPO = {
    **POLICY["run"],
    "method": "ppo",
    "values": {
        **SMALL,
        **TWO_STEPS,
        "ppo": {"samples": 2, "max_new_tokens": 16, "epochs": 1, "minibatches": 1},
    },
}
COMPARED = 4


@pytest.fixture
def project(db: None) -> Project:
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone")
    cast.member(project, "lena", Role.LABELER)
    return project


@pytest.fixture(autouse=True)
def no_adapters(vllm: Child) -> None:
    """Those of the test before are strangers to this test's database, and take places."""
    key = {"Authorization": f"Bearer {settings.INFERENCE_API_KEY}"}
    with httpx.Client(base_url=settings.INFERENCE_URLS[0], headers=key, trust_env=False) as http:
        for model in http.get("/v1/models").json()["data"]:
            if model.get("parent"):
                named = {"lora_name": model["id"]}
                http.post("/v1/unload_lora_adapter", json=named).raise_for_status()


@pytest.fixture
def people(project: Project, site: Site) -> Iterator[tuple[Person, Person]]:
    names = ("ada", "lena")
    ada, lena = (Person(site.url, "tone").sign_in(name, cast.PASSWORD) for name in names)
    yield ada, lena
    ada.close()
    lena.close()


def test_the_next_round_is_written_by_what_was_learned_from_the_last(
    people: tuple[Person, Person],
    worker: Child,
    generator: Child,
    trainer: Child,
    beat: Child,
) -> None:
    ada, lena = people
    # Those that are held out by their hash judge; the others teach.
    add_prompts(ada, [*PROMPTS, *SUMS])
    first = rank_first_round(ada, lena, {"split": "train", "sample": 8})

    ada.put("loop", {"settings": POLICY, "active": False})
    step = turn(ada, WITHIN_S)

    learned = TrainedAdapter.objects.get(run__method="dpo")
    expect_promoted(step, learned)
    expect_written_by(learned, ada, lena, first + 1)


def test_ppo_learns_from_a_reward_model_and_people_compare_what_it_learned(
    people: tuple[Person, Person],
    worker: Child,
    generator: Child,
    trainer: Child,
    beat: Child,
) -> None:
    ada, lena = people
    add_prompts(ada, PROMPTS)
    rank_first_round(ada, lena, {"split": None})
    add_prompts(ada, SUMS)  # which people compare the candidate on

    asked = {**POLICY, "run": PPO, "humans": {"rankings": COMPARED, "min_win_rate": 0.0}}
    ada.put("loop", {"settings": asked, "active": False})
    step = turn(ada, WITHIN_S, compare=lambda: rank_everything([lena], shorter))

    learned = TrainedAdapter.objects.get(run__method="ppo")
    expect_promoted(step, learned)
    judge = TrainedAdapter.objects.get(run__method="reward")
    assert learned.run.judge == judge
    taught, held_out = prompts_of(judge.run)
    assert (len(taught), len(held_out)) == (6, 2)
    assert {Prompt.objects.get(excerpt=text).split for text in taught} == {Split.TRAIN}
    answered = rollouts_of(learned.run)
    asked_in = [one["prompt"][-1]["content"] for one in answered]
    assert sorted(asked_in) == sorted([*taught, *taught]), "two samples of each"
    assert {one["step"] for one in answered} == {1, 2}
    compared = LoopStep.objects.get().ab_round
    assert compared is not None
    candidate, base = compared.sources.order_by("pk")
    assert written_by(candidate) == {learned.content_hash}
    assert learned.content_hash not in written_by(base)
    assert Ranking.objects.filter(round=compared).count() == COMPARED
    expect_written_by(learned, ada, lena, compared.number + 1)


def add_prompts(ada: Person, texts: list[str]) -> None:
    lines = "\n".join(json.dumps({"prompt": text}) for text in texts)
    ada.post("prompts/import", {"text": lines, "format": "jsonl"})


def rank_first_round(ada: Person, lena: Person, prompts: dict[str, Any]) -> int:
    """By the base, of eight tasks; its number."""
    wait("vLLM", lambda: any(m["available"] for m in ada.get("models")["results"]), PATIENCE_S)
    first = open_round(ada, prompts=prompts, k=2, sources=[{"follows": True, **SAMPLING}])
    wait_until_written(ada, first, PATIENCE_S)
    assert rank_everything([lena], shorter) == 8
    assert not Completion.objects.exclude(adapter_hash="").exists(), "the base wrote them"
    return first


def expect_promoted(step: dict[str, Any], learned: TrainedAdapter) -> None:
    assert step["state"] == "done", step["message"]
    assert step["promoted"] is True
    assert Promotion.objects.get().adapter == learned
    assert Adapter.objects.get(content_hash=learned.content_hash).state == "serving"


def expect_written_by(learned: TrainedAdapter, ada: Person, lena: Person, number: int) -> None:
    wait_until_written(ada, number, PATIENCE_S)
    written = Completion.objects.filter(task__round__number=number)
    assert written.count() == 6
    assert {one.adapter_hash for one in written} == {learned.content_hash}
    assert rank_everything([lena], shorter) == 3


def written_by(source: RoundSource) -> set[str]:
    return set(Completion.objects.filter(source=source).values_list("adapter_hash", flat=True))


def prompts_of(run: TrainingRun) -> tuple[set[str], set[str]]:
    """What the run's snapshot taught with, and what was kept from it to measure on."""
    data = run.spec["data"]
    assert data["rankings"] == ["data/train/rankings.jsonl"]
    assert data["evaluation_rankings"] == ["data/held_out/rankings.jsonl"]
    return texts_in(run.snapshot, "train"), texts_in(run.snapshot, "held_out")


def texts_in(snapshot: Snapshot, side: str) -> set[str]:
    with storages["snapshots"].open(f"{snapshot.content_hash}/{side}/rankings.jsonl") as file:
        return {json.loads(line)["prompt"][-1]["content"] for line in file}


def rollouts_of(run: TrainingRun) -> list[dict[str, Any]]:
    """What the policy answered while it learned, as the engine wrote it."""
    file = tidying.folder_of(run).root / "rollouts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]
