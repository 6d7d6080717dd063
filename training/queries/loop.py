"""The loop of a project as people see it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from annotate.errors import NotFound
from annotate.versions import version_of
from training.evaluation import gate
from training.loop.policy import LoopSettings, PolicyError, read
from training.models import LoopEvent, LoopPolicy, LoopStep, StepState
from training.models.loop import UNFINISHED_STEPS
from training.queries import ab, evaluations
from training.queries.standing import Stands, asks, standings
from training.queries.turns import next_of


def policy_of(project_id: int) -> LoopPolicy | None:
    """None before one was saved."""
    return LoopPolicy.objects.filter(project_id=project_id).select_related("owner").first()


def of_project(project_id: int) -> QuerySet[LoopStep]:
    """A project's steps, newest first, with what each made."""
    return LoopStep.objects.filter(project_id=project_id).select_related(
        "snapshot",
        "judge_run__adapter",
        "run__adapter",
        "evaluation__incumbent",
        "ab_round",
        "promotion",
        "round",
        "created_by",
    )


def one(project_id: int, number: int) -> LoopStep:
    """Raises NotFound."""
    step = of_project(project_id).filter(number=number).first()
    if step is None:
        raise NotFound
    return step


def latest(project_id: int) -> LoopStep | None:
    """The step that is unfinished, or else the last one; what a person acts on."""
    return of_project(project_id).first()


def to_advance() -> list[int]:
    """The running steps, oldest first; a project has one at most."""
    running = LoopStep.objects.filter(state=StepState.RUNNING).order_by("pk")
    return list(running.values_list("pk", flat=True))


def overview(project_id: int) -> dict[str, Any]:
    """The policy (the defaults before one was saved), the next turn, the last step."""
    policy, step = policy_of(project_id), latest(project_id)
    unsaved = policy or LoopPolicy(
        project_id=project_id, active=False, settings={}, changed_at=timezone.now()
    )
    settings, problem = _readable(unsaved.settings)
    return {
        "settings": settings.as_json(),
        "active": unsaved.active,
        "version": version(policy),
        "owner": policy.owner.username if policy else None,
        "changed_at": policy.changed_at if policy else None,
        "problem": problem,
        "next": _next(unsaved, settings, step, saved=policy is not None),
        "step": row(step, standings(project_id)) if step else None,
    }


def version(policy: LoopPolicy | None) -> str:
    """Of what is saved, for whoever edits it."""
    return version_of([policy.settings, policy.active] if policy else None)


def _readable(values: dict[str, Any]) -> tuple[LoopSettings, str]:
    """The settings; the defaults and what is wrong where an older policy cannot be read."""
    try:
        return read(values), ""
    except PolicyError as problem:
        return LoopSettings(), f"The saved policy does not fit any more: {problem}. Save it again."


def _next(
    policy: LoopPolicy, settings: LoopSettings, step: LoopStep | None, *, saved: bool
) -> dict[str, Any]:
    turn = next_of(policy, settings)
    text = turn.text
    if step is not None and step.state in UNFINISHED_STEPS:
        text = f"Step {step.number} is under way."
    elif not saved:
        text = "There is no policy yet. Save one to begin."
    return {
        "comparisons": turn.comparisons,
        "needed": turn.needed,
        "due_at": turn.due_at,
        "text": text,
    }


def row(step: LoopStep, found: Mapping[int, Stands]) -> dict[str, Any]:
    """What a list shows of it; things by their numbers. found: `standings` of the project."""
    candidate = getattr(step.run, "adapter", None)
    return {
        "number": step.number,
        "state": step.state,
        "stage": step.stage,
        "cause": step.cause,
        "waiting_for": step.waiting_for,
        "message": step.message,
        "promoted": step.promoted,
        "asks": asks(step),
        "snapshot": _number(step.snapshot),
        "judge_run": _number(step.judge_run),
        "judge": _number(getattr(step.judge_run, "adapter", None)),
        "run": _number(step.run),
        "candidate": _number(candidate),
        "candidate_standing": found[candidate.pk] if candidate else None,
        "evaluation": _number(step.evaluation),
        "ab_round": _number(step.ab_round),
        "promotion": _number(step.promotion),
        "round": _number(step.round),
        "created_by": step.created_by.username if step.created_by else None,
        "created_at": step.created_at,
        "finished_at": step.finished_at,
    }


def _number(thing: Any) -> int | None:
    return None if thing is None else int(thing.number)


def detail(step: LoopStep) -> dict[str, Any]:
    """The step with its timeline and the figures of what it made."""
    events = list(step.events.all())
    return {
        **row(step, standings(step.project_id)),
        "settings": step.settings,
        "incumbent": _number(step.evaluation.incumbent) if step.evaluation else None,
        "events": [
            {"position": each.position, "stage": each.stage, "text": each.text, "at": each.at}
            for each in events
        ],
        "stages": _stages(step, events),
        "verdicts": _verdicts(step),
        "warnings": evaluations.warnings(step.evaluation) if step.evaluation else [],
        "ab": ab.figures(step.ab_round, step.settings["humans"]) if step.ab_round else None,
    }


def _stages(step: LoopStep, events: Sequence[LoopEvent]) -> list[dict[str, Any]]:
    """Each stretch of the step in one stage; the last one goes on until the step ends."""
    found: list[dict[str, Any]] = []
    began = step.created_at
    for event in events:
        if not found or found[-1]["stage"] != event.stage:
            found.append({"stage": event.stage, "began_at": began})
        found[-1] |= {"ended_at": event.at, "text": event.text}
        began = event.at
    if step.state in UNFINISHED_STEPS:
        if not found or found[-1]["stage"] != step.stage:
            found.append({"stage": step.stage, "began_at": began})
        found[-1] |= {"ended_at": None, "text": step.waiting_for}
    for each in found:
        span = (each["ended_at"] or timezone.now()) - each["began_at"]
        each["seconds"] = round(span.total_seconds(), 1)
    return found


def _verdicts(step: LoopStep) -> list[dict[str, Any]]:
    if step.evaluation is None or step.evaluation.report is None:
        return []
    settings, _ = _readable(step.settings)
    return [
        {
            "name": verdict.name,
            "passed": verdict.passed,
            "text": verdict.text,
            "value": verdict.value,
            "bound": verdict.bound,
        }
        for verdict in gate.check(step.evaluation.report, settings.gate)
    ]
