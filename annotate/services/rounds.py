"""The life of a round: each transition is one verb, recoverable and safe to repeat."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from annotate.dispatch import enqueue
from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import (
    OPEN_STATES,
    Project,
    Round,
    RoundSource,
    RoundState,
    Slot,
    Task,
    TaskState,
)
from annotate.queries.current_model import current_model
from annotate.queries.own_models import own_models
from annotate.queries.prompts import PromptFilter, matching
from annotate.services import audit
from annotate.services.numbering import next_number
from formats.bounds import SOURCES
from inference.queries import why_too_long

MAX_PROMPTS = 200_000
NOT_SERVED = "One of the models is not served any more. Reload and choose again."


@dataclass(frozen=True, slots=True)
class Source:
    """A share of the completions: who writes them, and how they are sampled.

    follows: whatever the project's model is, also when that changes; no served_model_id then.
    """

    served_model_id: int | None = None
    weight: int = 1
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 256
    follows: bool = False


@transaction.atomic
def create_round(
    *,
    project_id: int,
    actor_id: int,
    prompts: PromptFilter,
    k: int,
    overlap: int,
    sources: Sequence[Source],
) -> Round:
    """A round in draft. Raises Invalid when no prompt matches or a model is not known."""
    project = Project.objects.select_for_update().get(pk=project_id)
    asked = _asked_now(project, sources)
    _count_prompts(project_id, prompts)
    round_ = Round.objects.create(
        project=project,
        number=next_number(project.rounds.all()),
        k=k,
        overlap=overlap,
        prompt_filter=prompts.as_dict(),
        created_by_id=actor_id,
    )
    RoundSource.objects.bulk_create(
        RoundSource(
            round=round_,
            served_model_id=served_model_id,
            follows=source.follows,
            weight=source.weight,
            temperature=source.temperature,
            top_p=source.top_p,
            max_tokens=source.max_tokens,
        )
        for source, served_model_id in zip(sources, asked, strict=True)
    )
    audit.record(verb="created", of=round_, project_id=project_id, actor_id=actor_id)
    return round_


def _asked_now(project: Project, sources: Sequence[Source]) -> list[int]:
    """Ids of the models that the sources stand for at present. Raises Invalid."""
    if not SOURCES.least <= len(sources) <= SOURCES.most:
        message = "Choose between one and nine models to write the completions."
        raise Invalid(message, fields={"sources": [message]})
    named = [source.served_model_id for source in sources if not source.follows]
    known = set(own_models(project.pk).filter(pk__in=named).values_list("pk", flat=True))
    asked = []
    for number, source in enumerate(sources):
        if reason := why_too_long(source.max_tokens):
            raise Invalid(reason, fields={f"sources.{number}.max_tokens": [reason]})
        model_id = _current_model(project) if source.follows else source.served_model_id
        if model_id is None or not (source.follows or model_id in known):
            raise Invalid(NOT_SERVED, fields={"sources": [NOT_SERVED]})
        asked.append(model_id)
    return asked


def _current_model(project: Project) -> int:
    model = current_model(project.slug)
    if model is None:
        message = "No inference server has named a model yet. Try again when one has."
        raise Invalid(message, fields={"sources": [message]})
    return model.pk


def _point_followers(round_: Round) -> None:
    """At the project's model as it is now. Holds the project: no promotion ends meanwhile."""
    followers = RoundSource.objects.filter(round=round_, follows=True)
    if followers.exists():
        project = Project.objects.select_for_update(no_key=True).get(pk=round_.project_id)
        followers.update(served_model_id=_current_model(project))


def _refuse_foreign(round_: Round) -> None:
    """A draft from before adapters had owners may name another project's."""
    own = own_models(round_.project_id).values("pk")
    if RoundSource.objects.filter(round=round_).exclude(served_model__in=own).exists():
        raise Invalid(NOT_SERVED, fields={"sources": [NOT_SERVED]})


def _count_prompts(project_id: int, prompts: PromptFilter) -> int:
    count = matching(project_id, prompts).count()
    if prompts.sample is not None:
        count = min(count, prompts.sample)
    if count == 0:
        message = "No prompt matches. Import prompts first, or widen the filter."
        raise Invalid(message, code="no_prompts", fields={"prompts": [message]})
    if count > MAX_PROMPTS:
        message = f"{count} prompts match; a round takes {MAX_PROMPTS} at most. Draw a sample."
        raise Invalid(message, code="too_many_prompts", fields={"prompts": [message]})
    return count


@transaction.atomic
def start_round(*, round_id: int, actor_id: int) -> Round:
    """Make the tasks and let the generation begin. A second click changes nothing."""
    round_ = _locked(round_id)
    if round_.state in OPEN_STATES:
        return round_
    _require(round_, RoundState.DRAFT, "started")
    prompts = PromptFilter(**round_.prompt_filter)
    _count_prompts(round_.project_id, prompts)
    _point_followers(round_)
    _refuse_foreign(round_)
    _make_tasks(round_, prompts)
    round_.state, round_.started_at = RoundState.GENERATING, timezone.now()
    round_.save(update_fields=["state", "started_at"])
    audit.record(verb="started", of=round_, project_id=round_.project_id, actor_id=actor_id)
    enqueue("annotate.generate_round", round_id=round_.pk)
    return round_


def _make_tasks(round_: Round, prompts: PromptFilter) -> None:
    """One task a prompt, in an order that is random but the same each time it is drawn."""
    chosen = matching(round_.project_id, prompts).values("id", "content_hash")
    sql, parameters = chosen.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO annotate_task"  # noqa: S608  (the inner statement is the ORM's own)
            " (round_id, prompt_id, position, required, state, failure)"
            " SELECT %s, id, row_number() OVER (ORDER BY drawn) - 1, %s, 'pending', ''"
            "  FROM (SELECT id, md5(content_hash || %s) drawn"
            f"         FROM ({sql}) matching ORDER BY drawn LIMIT %s) sample",
            [
                round_.pk,
                round_.overlap,
                f"round {round_.number}",
                *parameters,
                prompts.sample or MAX_PROMPTS,
            ],
        )


@transaction.atomic
def pause_round(*, round_id: int, actor_id: int) -> Round:
    """Hold generation and labeling; what labelers have in hand they may still finish."""
    return _set_paused(round_id, actor_id, paused=True)


@transaction.atomic
def resume_round(*, round_id: int, actor_id: int) -> Round:
    """Go on where the pause began."""
    return _set_paused(round_id, actor_id, paused=False)


def _set_paused(round_id: int, actor_id: int, *, paused: bool) -> Round:
    round_ = _locked(round_id)
    if not round_.open:
        raise Conflict(f"The round is {round_.state}; only a running round can be paused.")
    if round_.paused != paused:
        round_.paused = paused
        round_.save(update_fields=["paused"])
        verb = "paused" if paused else "resumed"
        audit.record(verb=verb, of=round_, project_id=round_.project_id, actor_id=actor_id)
        if round_.state == RoundState.GENERATING and not paused:
            enqueue("annotate.generate_round", round_id=round_.pk)
    return round_


@transaction.atomic
def cancel_round(*, round_id: int, actor_id: int) -> Round:
    """Stop for good. Rankings that exist stay, and late ones are still kept."""
    return _end(round_id, actor_id, RoundState.CANCELED, "canceled")


@transaction.atomic
def close_round(*, round_id: int, actor_id: int) -> Round:
    """Declare the rankings final; labelers can no longer change theirs."""
    return _end(round_id, actor_id, RoundState.CLOSED, "closed")


def _end(round_id: int, actor_id: int, state: RoundState, verb: str) -> Round:
    round_ = _locked(round_id)
    if round_.state == state:
        return round_
    allowed = {*OPEN_STATES}
    if state == RoundState.CANCELED:
        allowed |= {RoundState.DRAFT, RoundState.FAILED}
    if round_.state not in allowed:
        raise Conflict(f"The round is {round_.state} and cannot be {verb}.")
    round_.state, round_.closed_at, round_.paused = state, timezone.now(), False
    round_.save(update_fields=["state", "closed_at", "paused"])
    audit.record(verb=verb, of=round_, project_id=round_.project_id, actor_id=actor_id)
    return round_


@transaction.atomic
def retry_round(*, round_id: int, actor_id: int) -> Round:
    """Ask again for the completions that failed."""
    round_ = _locked(round_id)
    if round_.state not in (RoundState.FAILED, *OPEN_STATES):
        raise Conflict(f"The round is {round_.state}; there is nothing to retry.")
    failed = Task.objects.filter(round=round_, state=TaskState.FAILED)
    count = failed.update(state=TaskState.PENDING, failure="")
    if count or round_.state == RoundState.FAILED:
        round_.state, round_.message = RoundState.GENERATING, ""
        round_.save(update_fields=["state", "message"])
        audit.record(
            verb="retried",
            of=round_,
            project_id=round_.project_id,
            actor_id=actor_id,
            tasks=count,
        )
        enqueue("annotate.generate_round", round_id=round_.pk)
    return round_


@transaction.atomic
def settle_round(*, round_id: int) -> Round:
    """Leave `generating` once no task waits for completions any more."""
    round_ = _locked(round_id)
    tasks = Task.objects.filter(round=round_)
    if round_.state != RoundState.GENERATING or tasks.filter(state=TaskState.PENDING).exists():
        return round_
    if tasks.filter(state=TaskState.READY).exists():
        round_.state = RoundState.LABELING
    else:
        first = tasks.filter(state=TaskState.FAILED).order_by("position").first()
        round_.state = RoundState.FAILED
        round_.message = f"No task got its completions. {first.failure if first else ''}".strip()
    round_.save(update_fields=["state", "message"])
    audit.record(
        verb=f"became {round_.state}", of=round_, project_id=round_.project_id, actor_id=None
    )
    return round_


def open_for_labeling(task: Task) -> None:
    """Make the slots of a task whose completions are all there."""
    Slot.objects.bulk_create(
        [
            Slot(task=task, round_id=task.round_id, position=task.position, number=number)
            for number in range(task.required)
        ],
        ignore_conflicts=True,
    )


def _locked(round_id: int) -> Round:
    round_ = Round.objects.select_for_update().filter(pk=round_id).first()
    if round_ is None:
        raise NotFound
    return round_


def _require(round_: Round, state: RoundState, verb: str) -> None:
    if round_.state != state:
        raise Conflict(f"The round is {round_.state} and cannot be {verb}.")
