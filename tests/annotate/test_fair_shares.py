"""Twelve rounds of one project do not hold up another one: the real generator, a scripted vLLM."""

import threading

import pytest
from django.utils import timezone

from annotate.launch.child import Child
from annotate.launch.plan import ROUNDS_AT_A_TIME
from annotate.models import Project, Round, RoundState, TaskState, User
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from annotate.services.generation_turns import waiting_rounds
from annotate.services.projects import create_project
from annotate.services.rounds import Source
from annotate.tasks import advance_rounds
from inference.models import Replica, ServedModel, Serving
from tests import cast
from tests.faults.breaking import state, wait
from tests.inference.fake_vllm import FakeVllm, Handler
from tests.patience import PATIENCE_S

LONG = 32_768
pytestmark = pytest.mark.django_db(transaction=True)


class Slow(FakeVllm):
    """Holds back every answer of the long requests until it is told to give them."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []  # max_tokens of each answer, in the order of answering
        self.asked: list[int] = []
        self.go_on = threading.Event()
        self.always = self.behave

    def behave(self, handler: Handler) -> None:
        length = handler.body["max_tokens"]
        self.asked.append(length)
        if length == LONG:
            self.go_on.wait(PATIENCE_S)
        self.given.append(length)
        handler.send_json(200, self.answer(handler.body))


def serve(fake: FakeVllm) -> ServedModel:
    Replica.objects.all().delete()
    model = cast.served_model("base")
    now = timezone.now()
    replica = Replica.objects.create(name="fake", url=fake.url, state="ready", checked_at=now)
    Serving.objects.create(replica=replica, served_model=model, selftest="passed", tested_at=now)
    return model


def start(project: Project, owner: User, model: ServedModel, *, k: int, max_tokens: int) -> Round:
    round_ = rounds.create_round(
        project_id=project.pk,
        actor_id=owner.pk,
        prompts=PromptFilter(),
        k=k,
        overlap=1,
        sources=[Source(model.pk, max_tokens=max_tokens)],
    )
    return rounds.start_round(round_id=round_.pk, actor_id=owner.pk)


def test_the_first_task_of_another_project_waits_for_none_of_their_answers(
    tone: Project, ada: User, generator: Child
) -> None:
    """Not one answer is given to the twelve rounds before; and nothing of them is lost."""
    other = create_project(actor_id=ada.pk, slug="other", name="Other")
    for project in (tone, other):
        cast.add_prompts(project, 3)
    with Slow() as fake:
        model = serve(fake)
        theirs = [start(tone, ada, model, k=9, max_tokens=LONG) for _ in range(12)]
        wait("their rounds to fill all places", lambda: len(waiting_rounds()) == 4)
        wait("each to ask", lambda: len(fake.asked) >= ROUNDS_AT_A_TIME)
        try:
            mine = start(other, ada, model, k=2, max_tokens=8)
            wait("the first task", lambda: mine.tasks.filter(state=TaskState.READY).exists())
            assert LONG not in fake.given
            wait("the whole round", lambda: state(mine) == RoundState.LABELING)
            assert LONG not in fake.given
        finally:
            fake.go_on.set()

        def all_written() -> bool:
            advance_rounds()  # as beat lets the worker do
            return {state(round_) for round_ in theirs} == {RoundState.LABELING}

        wait("their rounds", all_written)
