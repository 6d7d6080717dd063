"""The example project's loop, which is there when somebody starts Prefloop for the first time."""

import pytest
from django.core.management import call_command

from annotate.models import Project
from annotate.services.example import USERS, load_example
from training.models import LoopPolicy
from training.services import loop

pytestmark = pytest.mark.django_db


def test_it_is_ready_to_be_stepped_by_hand_and_loaded_once() -> None:
    call_command("load_example_loop")
    assert not LoopPolicy.objects.exists()

    project = load_example(passwords={person.username: "x" for person in USERS})
    call_command("load_example_loop")
    policy = LoopPolicy.objects.get()
    assert (policy.project, policy.owner.username, policy.active) == (project, "ada", False)
    assert policy.settings["promotion"] == "ask"
    # How long prompts and answers may be is what its rounds wrote them with.
    assert all("data" not in policy.settings[part]["values"] for part in ("run", "judge"))

    changed = {**policy.settings, "promotion": "automatic"}
    loop.set_policy(project_id=project.pk, actor_id=policy.owner_id, settings=changed, active=False)
    call_command("load_example_loop")
    assert LoopPolicy.objects.get().settings["promotion"] == "automatic"
    assert Project.objects.count() == 1
