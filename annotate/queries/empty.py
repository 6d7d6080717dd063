"""Why there is no task for a labeler, the nearest reason first."""

from django.db.models import Exists, OuterRef, QuerySet

from annotate.models import OPEN_STATES, Claim, Round, Slot, Task, TaskState
from annotate.models.claim import SPENT_STATES
from annotate.queries.ahead import ahead_of
from inference.queries import inference_state


def why_empty(project_id: int, labeler_id: int) -> dict[str, str]:
    """Why there is no task for a labeler, and what happens next: {code, message}.

    What is still to be written comes before what others hold: it is what ends the waiting.
    """
    rounds = Round.objects.filter(project_id=project_id, state__in=OPEN_STATES)
    running = rounds.filter(paused=False)
    if not rounds.exists():
        return _reason(
            "no_round", "No round is open. You will see tasks here as soon as an admin starts one."
        )
    if not running.exists():
        return _reason("paused", "The round is paused. Tasks come back when an admin resumes it.")
    if Task.objects.filter(round__in=running, state=TaskState.PENDING).exists():
        return _being_written(running)
    # Or nobody holds it any more: whoever gave it back did so after the look for a task.
    if _open_to(labeler_id, running).exists():
        return _reason(
            "all_claimed",
            "Other labelers have the remaining tasks in hand. "
            "What they give back appears here by itself.",
        )
    held = rounds.filter(paused=True)
    unwritten = Task.objects.filter(round__in=held, state=TaskState.PENDING)
    if unwritten.exists() or _open_to(labeler_id, held).exists():
        return _reason(
            "paused",
            "You have done everything but a round that is paused. "
            "Its tasks come back when an admin resumes it.",
        )
    return _reason("all_done", "You have done everything that there was for you. Thank you!")


def _being_written(running: QuerySet[Round]) -> dict[str, str]:
    inference = inference_state()
    if inference["state"] != "ready":
        return _reason("model_loading", f"{inference['message']} Tasks appear by themselves.")
    pending = Task.objects.filter(round=OuterRef("pk"), state=TaskState.PENDING)
    unwritten = running.filter(Exists(pending)).values_list("pk", flat=True)
    if not any(ahead_of(round_id).missing for round_id in unwritten):
        message = (
            "You have done everything that is written so far. The model writes more as other "
            "labelers rank theirs."
        )
        return _reason("waiting_for_completions", message)
    return _reason(
        "waiting_for_completions",
        "The model is still writing responses. New tasks appear here by themselves.",
    )


def _open_to(labeler_id: int, rounds: QuerySet[Round]) -> QuerySet[Slot]:
    """Places for a ranking in tasks that the labeler has not judged."""
    theirs = Claim.objects.filter(
        task=OuterRef("task"), labeler_id=labeler_id, state__in=SPENT_STATES
    )
    return Slot.objects.filter(~Exists(theirs), round__in=rounds, ranking=None)


def _reason(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message}
