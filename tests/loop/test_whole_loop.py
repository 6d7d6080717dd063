"""A whole turn of the loop: real vLLM, bundled model, QLoRA on NF4, hot swap, through the API.

Labelers rank by a rule that nobody told the model. Small: what the model learns in so few steps is
the benchmark `loop`'s business.
"""

from collections.abc import Iterator

import pytest

from annotate.launch.child import Child
from annotate.models import Completion, Project, Role
from annotate.services.projects import create_project
from inference.models import Adapter
from tests import cast
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
from training.models import Promotion, TrainedAdapter

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.vllm,
    pytest.mark.timeout(900),
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
POLICY = {
    "run": {
        "method": "dpo",
        "preset": "135m-cpu",
        "values": {
            "base": {"precision": "nf4"},
            "lora": {"r": 8},
            "data": {"max_prompt_tokens": 64, "max_completion_tokens": 32},
            "training": {"max_steps": 2, "groups_per_step": 4},
            "evaluation": {"answers": 0},
        },
    },
    "judge": {
        "train": True,
        "preset": "135m-cpu",
        "values": {
            "base": {"precision": "nf4"},
            "lora": {"r": 8},
            "data": {"max_prompt_tokens": 64, "max_completion_tokens": 32},
            "training": {"max_steps": 1, "groups_per_step": 4},
            "evaluation": {"answers": 0},
        },
    },
    "evaluation": {"prompts": 2, "max_tokens": 16},
    # So few steps teach nothing: whatever the judge says, it is promoted.
    "gate": {"min_win_rate": 0.0, "max_length_ratio": None},
    "promotion": "automatic",
    "next_round": {"prompts": "same", "sample": 3, "k": 2, "overlap": 1, **SAMPLING},
}


@pytest.fixture
def project(db: None) -> Project:
    ada = cast.person("ada")
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone")
    cast.member(project, "lena", Role.LABELER)
    return project


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
    vllm: Child,
) -> None:
    ada, lena = people
    rows = "\n".join(f'{{"prompt": "{text}"}}' for text in PROMPTS)
    # Those that are held out by their hash judge; the others teach.
    more = "\n".join(f'{{"prompt": "What is {n} plus {n}?"}}' for n in range(30))
    ada.post("prompts/import", {"text": f"{rows}\n{more}", "format": "jsonl"})
    wait("vLLM", lambda: any(m["available"] for m in ada.get("models")["results"]), 240)

    first = open_round(
        ada, prompts={"split": "train", "sample": 8}, k=2, sources=[{"follows": True, **SAMPLING}]
    )
    wait_until_written(ada, first, 180)
    assert rank_everything([lena], shorter) == 8
    assert not Completion.objects.exclude(adapter_hash="").exists(), "the base wrote them"

    ada.put("loop", {"settings": POLICY, "active": False})
    step = turn(ada, 600)

    assert step["state"] == "done", step["message"]
    assert step["promoted"] is True
    learned = TrainedAdapter.objects.get(run__method="dpo")
    assert Promotion.objects.get().adapter == learned
    assert Adapter.objects.get(content_hash=learned.content_hash).state == "serving"
    second = first + 1
    wait_until_written(ada, second, 180)
    written = Completion.objects.filter(task__round__number=second)
    assert written.count() == 6
    assert {one.adapter_hash for one in written} == {learned.content_hash}
    assert rank_everything([lena], shorter) == 3
