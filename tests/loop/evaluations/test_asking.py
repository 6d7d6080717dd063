"""Asking for an evaluation: what is chosen when nothing is said, and what is refused."""

from typing import Any

import pytest

from annotate.errors import Conflict, Invalid
from annotate.models import AuditEvent, Project, Prompt, User
from annotate.services.projects import create_project
from tests.loop.evaluations.conftest import Evaluate, Make
from tests.loop.trained import make_adapter, make_snapshot
from training.models import (
    Evaluation,
    EvaluationState,
    Promotion,
    PromotionState,
    TrainedAdapter,
)
from training.services.evaluations import (
    cancel_evaluation,
    create_evaluation,
    fail_evaluation,
    newest_judge,
    retry_evaluation,
)

pytestmark = pytest.mark.django_db


def promote(adapter: TrainedAdapter | None, project: Project) -> None:
    number = project.promotions.count() + 1
    Promotion.objects.create(
        project=project,
        number=number,
        kind="promote",
        adapter=adapter,
        state=PromotionState.DONE,
        finished_at=project.created_at,
    )


def test_the_incumbent_is_the_project_s_model_unless_another_is_named(
    tone: Project, make: Make, evaluate: Evaluate
) -> None:
    old, new = make(), make()
    assert evaluate(candidate=new, incumbent_id="current").incumbent is None
    promote(old, tone)
    evaluation = evaluate(candidate=new, incumbent_id="current")
    assert (evaluation.number, evaluation.incumbent) == (2, old)
    assert evaluation.snapshot == new.run.snapshot
    promote(new, tone)
    assert evaluate(candidate=new, incumbent_id="current").incumbent is None
    assert evaluate(candidate=new, incumbent_id=old.pk).incumbent == old
    assert AuditEvent.objects.filter(verb="created", object_type="evaluation").count() == 4


def test_the_judge_learned_from_the_same_data_and_did_not_teach_the_candidate(
    tone: Project, ada: User, make: Make, evaluate: Evaluate
) -> None:
    first, second = make_snapshot(tone, ada), make_snapshot(tone, ada)
    candidate = make(snapshot=first)
    assert newest_judge(candidate) is None
    assert evaluate(candidate=candidate, judge_id="newest").judge is None
    elsewhere = make(method="reward", snapshot=second)
    assert newest_judge(candidate) == elsewhere
    own = make(method="reward", snapshot=first)
    make(method="reward", snapshot=second)
    assert newest_judge(candidate) == own
    taught = make(snapshot=first, method="rloo", judge=own)
    assert newest_judge(taught) not in (own, elsewhere)
    assert evaluate(candidate=candidate, judge_id="newest").judge == own
    assert evaluate(candidate=candidate, judge_id=elsewhere.pk).judge == elsewhere


@pytest.mark.parametrize(
    ("choose", "field", "said"),
    [
        (lambda a: {"candidate": a["judge"]}, "candidate", "writes no answers"),
        (lambda a: {"incumbent_id": a["judge"].pk}, "incumbent", "writes no answers"),
        (lambda a: {"judge_id": a["other"].pk}, "judge", "no reward model"),
        (lambda a: {"candidate": a["other"], "incumbent_id": a["other"].pk}, "incumbent", "itself"),
        (lambda a: {"incumbent_id": a["foreign base"].pk}, "incumbent", "the same base"),
        (lambda a: {"incumbent_id": a["foreign"].pk}, "incumbent", "no such adapter"),
        (lambda a: {"judge_id": a["foreign"].pk}, "judge", "no such adapter"),
        (lambda a: {"candidate": a["foreign"]}, "candidate", "no such adapter"),
        (lambda a: {"snapshot_id": 10**9}, "snapshot", "no such snapshot"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    choose: Any, field: str, said: str, ada: User, make: Make, evaluate: Evaluate, tmp_path: Any
) -> None:
    elsewhere = create_project(actor_id=ada.pk, slug="other", name="Other")
    adapters = {
        "judge": make(method="reward"),
        "other": make(),
        "foreign base": make(base="another"),
        "foreign": make_adapter(elsewhere, ada, tmp_path / "foreign", seed=77),
    }
    with pytest.raises(Invalid, match=said) as refused:
        evaluate(**choose(adapters))
    assert refused.value.fields.keys() == {field}
    assert not Evaluation.objects.exists()


def test_without_held_out_prompts_it_says_what_to_do(tone: Project, ada: User, make: Make) -> None:
    with pytest.raises(Invalid, match="Import more prompts") as refused:
        create_evaluation(project_id=tone.pk, actor_id=ada.pk, candidate_id=make().pk)
    assert refused.value.error_code == "no_held_out_prompts"


def test_cancel_fail_and_retry(ada: User, evaluate: Evaluate, held_out: list[Prompt]) -> None:
    evaluation = evaluate()
    key, who = {"evaluation_id": evaluation.pk}, {"actor_id": ada.pk}
    assert cancel_evaluation(**key, **who).state == EvaluationState.CANCELED
    assert cancel_evaluation(**key, **who).state == EvaluationState.CANCELED
    assert retry_evaluation(**key, **who).state == EvaluationState.QUEUED
    assert retry_evaluation(**key, **who).state == EvaluationState.QUEUED
    fail_evaluation(**key, message="The disk is full. Free some space, then retry.")
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.message[:16]) == ("failed", "The disk is full")
    with pytest.raises(Conflict, match="nothing to cancel"):
        cancel_evaluation(**key, **who)
    assert retry_evaluation(**key, **who).message == ""
    Evaluation.objects.update(state="ready", report={}, finished_at=evaluation.created_at)
    with pytest.raises(Conflict, match="Create another one"):
        retry_evaluation(**key, **who)
    fail_evaluation(**key, message="too late")
    verbs = AuditEvent.objects.filter(object_type="evaluation").order_by("id")
    assert list(verbs.values_list("verb", flat=True)) == [
        "created",
        "canceled",
        "retried",
        "became failed",
        "retried",
    ]
