"""A project's model becomes another adapter and what it was before, each step by one verb."""

from functools import partial

import pytest

from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import AuditEvent, Project, User
from annotate.services.projects import create_project
from inference.adapters import serve_adapter
from inference.models import Adapter, ModelAlias, Replica
from tests.inference import fake_vllm
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import look
from tests.inference.test_replicas import held_elsewhere
from tests.promotion.conftest import Train, answering
from training.models import Evaluation, Promotion, Snapshot, TrainedAdapter
from training.queries import promotions as reads
from training.services import promotions

pytestmark = pytest.mark.django_db


def promoted(adapter: TrainedAdapter | None, project: Project, *, reason: str = "") -> Promotion:
    """Asked for by Ada and performed."""
    adapter_id = adapter.pk if adapter else None
    asked = promotions.promote(
        project_id=project.pk, actor_id=ada_of(project), adapter_id=adapter_id, reason=reason
    )
    return performed(asked)


def rolled_back(project: Project) -> Promotion:
    return performed(promotions.roll_back(project_id=project.pk, actor_id=ada_of(project)))


def performed(promotion: Promotion) -> Promotion:
    promotions.perform(promotion_id=promotion.pk)
    promotion.refresh_from_db()
    return promotion


def ada_of(project: Project) -> int:
    return User.objects.get(username="ada").pk


def served(adapter: TrainedAdapter) -> str:
    return f"base@{adapter.content_hash[:16]}"


def test_what_is_promoted_answers(ready: FakeVllm, tone: Project, red: TrainedAdapter) -> None:
    assert (reads.current(tone.pk), answering()) == (None, "tone/current")
    done = promoted(red, tone, reason="It is better.")
    assert (done.state, done.message, done.attempts) == ("done", "", 1)
    assert (done.adapter, done.previous, done.reason) == (red, None, "It is better.")
    assert reads.current(tone.pk) == red
    assert answering() == served(red)


def test_back_leads_back_step_by_step(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    promoted(red, tone)
    promoted(blue, tone)
    assert rolled_back(tone).adapter == red
    assert (reads.current(tone.pk), answering()) == (red, served(red))
    assert rolled_back(tone).adapter is None
    assert reads.current(tone.pk) is None
    assert answering() == str(Adapter.objects.get(zero=True))
    with pytest.raises(Conflict, match="no way back"):
        rolled_back(tone)
    promoted(blue, tone)
    assert rolled_back(tone).adapter is None


def test_the_base_can_be_promoted(ready: FakeVllm, tone: Project, red: TrainedAdapter) -> None:
    promoted(red, tone)
    promoted(None, tone)
    assert (reads.current(tone.pk), answering()) == (None, str(Adapter.objects.get(zero=True)))
    assert rolled_back(tone).adapter == red


def test_a_second_click_is_the_same_promotion(
    tone: Project, ada: User, ready: FakeVllm, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    ask = partial(promotions.promote, project_id=tone.pk, actor_id=ada.pk)
    go_back = partial(promotions.roll_back, project_id=tone.pk, actor_id=ada.pk)
    first = ask(adapter_id=red.pk)
    assert ask(adapter_id=red.pk) == first
    with pytest.raises(Conflict, match="Adapter 1 is just being swapped in") as caught:
        ask(adapter_id=blue.pk)
    assert caught.value.retry
    performed(first)
    with pytest.raises(Conflict, match="the project's model already"):
        ask(adapter_id=red.pk)
    back = go_back()
    assert go_back() == back


def test_what_cannot_be_the_model_is_refused(
    tone: Project, ada: User, ready: FakeVllm, train: Train
) -> None:
    ask = partial(promotions.promote, project_id=tone.pk, actor_id=ada.pk)
    with pytest.raises(Invalid, match="judges answers and writes none"):
        ask(adapter_id=train(method="reward").pk)
    with pytest.raises(Invalid, match="trained on “other”, but “base” is served"):
        ask(adapter_id=train(base="other").pk)
    elsewhere = create_project(actor_id=ada.pk, slug="else", name="Else")
    with pytest.raises(NotFound):
        ask(adapter_id=train(project=elsewhere).pk)
    with pytest.raises(Conflict, match="The base model is the project's model already"):
        ask(adapter_id=None)
    assert not Promotion.objects.exists()


def test_the_evaluation_is_one_of_the_adapter(
    tone: Project, ada: User, ready: FakeVllm, red: TrainedAdapter, blue: TrainedAdapter
) -> None:
    evaluation = Evaluation.objects.create(
        project=tone,
        number=1,
        candidate=red,
        snapshot=Snapshot.objects.get(),
        settings={},
        created_by=ada,
    )
    ask = partial(
        promotions.promote,
        project_id=tone.pk,
        actor_id=ada.pk,
        evaluation_id=evaluation.pk,
    )
    with pytest.raises(Invalid, match="of another adapter"):
        ask(adapter_id=blue.pk)
    assert ask(adapter_id=red.pk).evaluation == evaluation


def test_everything_is_in_the_audit(
    tone: Project, ada: User, ready: FakeVllm, red: TrainedAdapter
) -> None:
    promoted(red, tone)
    performed(promotions.roll_back(project_id=tone.pk, actor_id=None, reason="loop"))
    events = AuditEvent.objects.filter(object_type="promotion").order_by("pk")
    assert list(events.values_list("verb", "actor__username", "detail__adapter")) == [
        ("asked to promote", "ada", 1),
        ("promoted", "ada", 1),
        ("asked to roll back", None, None),
        ("rolled back", None, None),
    ]


# --- a swap that does not come about ---------------------------------------------------------


def test_what_may_pass_is_waited_for(ready: FakeVllm, tone: Project, red: TrainedAdapter) -> None:
    Replica.objects.update(state="down")
    waiting = promoted(red, tone)
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    assert "No inference server is ready" in waiting.message
    assert reads.to_advance() == [waiting.pk]
    Replica.objects.update(state="ready")
    done = performed(waiting)
    assert (done.state, done.message, done.attempts) == ("done", "", 2)
    assert reads.to_advance() == []


def test_another_swap_is_waited_for(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.adapters.SWAP_WAIT_S", 0.05)
    with held_elsewhere("inference.swap"):
        waiting = promoted(red, tone)
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    assert "just being swapped in" in waiting.message
    assert performed(waiting).state == "done"


def test_waiting_has_an_end(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotions, "ATTEMPTS", 2)
    too_large = fake_vllm.error(500, "LoRA rank 8 is greater than max_lora_rank 1.")
    ready.lora_script = [too_large] * 4  # twice: the load, and taking it back
    waiting = promoted(red, tone)
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    failed = performed(waiting)
    assert failed.state == "failed"
    assert "--max-lora-rank 8" in failed.message
    assert reads.current(tone.pk) is None
    assert promoted(red, tone).state == "done"  # it may be asked for again


def test_a_job_that_always_dies_ends(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotions, "ATTEMPTS", 1)
    asked = promotions.promote(project_id=tone.pk, actor_id=None, adapter_id=red.pk)
    Promotion.objects.update(state="swapping", attempts=1)
    assert "broke off again and again" in performed(asked).message


def test_the_alias_moves_to_another_base_when_the_servers_have(
    ready: FakeVllm, tone: Project, red: TrainedAdapter, train: Train
) -> None:
    promoted(red, tone)
    ready.models = {"new": ""}
    ready.folders.clear()
    ready.start_time += 1
    look()
    done = promoted(train(base="new"), tone)
    assert (done.state, done.message) == ("done", "")
    alias = ModelAlias.objects.get()
    assert (alias.base, alias.previous) == ("new", None)


def test_a_candidate_that_is_served_already_is_only_flipped_to(
    ready: FakeVllm, tone: Project, red: TrainedAdapter
) -> None:
    promoted(red, tone)
    adapter = Adapter.objects.get(zero=False)
    serve_adapter(alias="tone/candidate", base="base", adapter_id=adapter.pk)
    promoted(None, tone)
    asked = len(ready.requests)
    promoted(red, tone)
    assert len(ready.requests) == asked
