"""Letting a project's model be another adapter, or the one before: asked for, then done by a job.

One at a time in a project, and in two steps. The flip of the alias and the note that it was flipped
are one transaction; before it everything may be given up, after it nothing. Letting the open rounds
follow and the note that the promotion is done are another. The job may be killed anywhere and run
again: it goes on with the step that is missing.
"""

import logging
from functools import partial

from django.db import transaction
from django.utils import timezone

from annotate.dispatch import enqueue
from annotate.environment import without_secrets
from annotate.errors import Conflict, Invalid, NotFound, Refusal
from annotate.models import Project, Stale
from annotate.queries.current_model import alias_of
from annotate.services import audit
from annotate.services.numbering import next_number
from annotate.services.stale import follow
from inference.adapters import loaded_adapter, register_adapter, serve_adapter
from inference.errors import InferenceError, SwapRefused
from inference.locks import try_lock
from inference.models import ModelAlias
from inference.queries import answers_as, bases_offered, meaning_of
from training.models import (
    Evaluation,
    Promotion,
    PromotionKind,
    PromotionState,
    TrainedAdapter,
)
from training.models.promotion import UNFINISHED_PROMOTIONS
from training.queries import promotions as reads
from training.queries.servable import why_not

__all__ = ["PROMOTE", "alias_of", "perform", "promote", "roll_back"]

log = logging.getLogger(__name__)

PROMOTE = "training.promote"
ATTEMPTS = 360  # beat sends it every 5 s: half an hour
VERBS = {
    PromotionKind.PROMOTE: ("asked to promote", "promoted"),
    PromotionKind.ROLL_BACK: ("asked to roll back", "rolled back"),
}


@transaction.atomic
def promote(
    *,
    project_id: int,
    actor_id: int | None,
    adapter_id: int | None,
    evaluation_id: int | None = None,
    reason: str = "",
    stale: str = Stale.KEEP,
) -> Promotion:
    """Let the project's model be this adapter, or the base; a job swaps it in.

    actor_id None: the loop. The same again while it is under way returns the one under way. Raises
    NotFound for an adapter of another project, Invalid for one that writes no answers, Conflict
    when it is the project's model already and is served, or another promotion is under way.
    """
    project = _locked(project_id)
    adapter = _promotable(project, adapter_id)
    _check_evaluation(project, adapter_id, evaluation_id)
    return _ask(
        project, PromotionKind.PROMOTE, adapter, actor_id, evaluation_id, reason, Stale(stale)
    )


@transaction.atomic
def roll_back(
    *, project_id: int, actor_id: int | None, reason: str = "", stale: str = Stale.KEEP
) -> Promotion:
    """Let the project's model be what it was before; again: what it was before that.

    Raises Conflict when there is nothing before, or another promotion is under way.
    """
    project = _locked(project_id)
    under_way = reads.unfinished(project_id)
    if under_way is not None and under_way.kind == PromotionKind.ROLL_BACK:
        return under_way
    trail = reads.trail(project_id)
    if len(trail) < 2:
        raise Conflict("There is no way back: this project's model was never another one.")
    adapter = None if trail[-2] is None else TrainedAdapter.objects.get(pk=trail[-2])
    if adapter is not None and (reason := why_not(adapter.rank)):
        raise Conflict(f"Adapter {adapter.number}, the one before, cannot be served: {reason}")
    return _ask(project, PromotionKind.ROLL_BACK, adapter, actor_id, None, reason, Stale(stale))


def _promotable(project: Project, adapter_id: int | None) -> TrainedAdapter | None:
    if adapter_id is None:
        return None
    adapters = TrainedAdapter.objects.filter(project=project, pk=adapter_id)
    adapter = adapters.select_related("run").first()
    if adapter is None:
        raise NotFound
    if adapter.scores:
        message = "A reward model judges answers and writes none. Choose another adapter."
        raise Invalid(message, fields={"adapter": [message]})
    over = _base_of(project)
    if over not in ("", adapter.base):
        message = (
            f"The adapter was trained on “{adapter.base}”, but “{over}” is served. "
            "Choose an adapter of that model, or serve the other again (MODEL)."
        )
        raise Invalid(message, fields={"adapter": [message]})
    if reason := why_not(adapter.rank):
        message = f"Adapter {adapter.number} cannot be served: {reason}"
        raise Invalid(message, fields={"adapter": [message]})
    return adapter


def _check_evaluation(project: Project, adapter_id: int | None, evaluation_id: int | None) -> None:
    if evaluation_id is None:
        return
    of_project = Evaluation.objects.filter(project=project, pk=evaluation_id)
    if not of_project.filter(candidate_id=adapter_id).exists():
        message = "That evaluation is of another adapter. Choose one of this adapter, or none."
        raise Invalid(message, fields={"evaluation": [message]})


def _ask(
    project: Project,
    kind: PromotionKind,
    adapter: TrainedAdapter | None,
    actor_id: int | None,
    evaluation_id: int | None,
    reason: str,
    stale: Stale,
) -> Promotion:
    under_way = reads.unfinished(project.pk)
    if under_way is not None:
        if (under_way.kind, under_way.adapter) == (kind, adapter):
            return under_way
        raise Conflict(
            f"{_named(under_way.adapter)} is just being swapped in. Try again when that has ended.",
            code="promotion_under_way",
            retry=True,
        )
    previous = reads.current(project.pk)
    if adapter == previous and _is_served(project, adapter):
        raise Conflict(f"{_named(adapter)} is the project's model already.")
    promotion = Promotion.objects.create(
        project=project,
        number=next_number(Promotion.objects.filter(project=project)),
        kind=kind,
        adapter=adapter,
        previous=previous,
        evaluation_id=evaluation_id,
        reason=reason,
        stale=stale,
        created_by_id=actor_id,
    )
    _record(promotion, VERBS[kind][0], actor_id)
    enqueue(PROMOTE, promotion_id=promotion.pk)
    return promotion


def _is_served(project: Project, adapter: TrainedAdapter | None) -> bool:
    """A model that no server answers by may be brought to them again."""
    return adapter is None or answers_as(alias_of(project.slug), adapter.content_hash)


def _named(adapter: TrainedAdapter | None) -> str:
    return f"Adapter {adapter.number}" if adapter else "The base model"


def perform(*, promotion_id: int) -> None:
    """Swap it in and let the open rounds follow. Safe to run twice, and to be killed anywhere.

    Takes seconds and waits for servers: run it outside of a transaction.
    """
    with try_lock(f"{PROMOTE}.{promotion_id}") as mine:
        promotion = _begin(promotion_id) if mine else None
        if promotion is None:
            return
        if promotion.flipped_at is None and not _flipped(promotion):
            return
        try:
            _finish(promotion_id)
        except Exception as error:
            _say_what_is_left(promotion_id, error)
            raise


def _flipped(promotion: Promotion) -> bool:
    """Swap it in; why that was not possible is said in the promotion."""
    try:
        _swap(promotion)
    except SwapRefused as refused:
        _put_off(promotion.pk, str(refused), permanent=refused.permanent)
    except InferenceError as error:
        _put_off(promotion.pk, error.summary, permanent=False)
    except Refusal as refused:
        _put_off(promotion.pk, refused.message, permanent=not refused.retry)
    except OSError as error:
        log.exception("%s", promotion)
        why = f"The adapter's files cannot be read: {error.strerror or error}."
        _put_off(promotion.pk, why, permanent=False)
    else:
        return True
    return False


@transaction.atomic
def _begin(promotion_id: int) -> Promotion | None:
    promotion = _unfinished(promotion_id)
    if promotion is None:
        return None
    if promotion.attempts >= ATTEMPTS and promotion.flipped_at is None:
        why = promotion.message or "It broke off again and again; the worker's log says why."
        _fail(promotion, why)
        return None
    promotion.state = PromotionState.SWAPPING
    promotion.attempts = min(promotion.attempts + 1, ATTEMPTS)
    promotion.save(update_fields=["state", "attempts"])
    return promotion


def _swap(promotion: Promotion) -> None:
    """Let the alias mean its adapter, and note it. Raises SwapRefused."""
    alias, trained = alias_of(promotion.project.slug), promotion.adapter
    base = trained.base if trained else _base_of(promotion.project)
    if not base:
        raise SwapRefused("No inference server has named a model yet.")
    adapter_id = None
    if trained is not None:
        adapter_id = loaded_adapter(content_hash=trained.content_hash, base=base)
        if adapter_id is None:
            adapter_id = register_adapter(content_hash=trained.content_hash, base=base).pk
    serve_adapter(
        alias=alias, base=base, adapter_id=adapter_id, beside=partial(_note_flip, promotion.pk)
    )


def _note_flip(promotion_id: int) -> None:
    Promotion.objects.filter(pk=promotion_id).update(flipped_at=timezone.now(), message="")


def _base_of(project: Project) -> str:
    """The base that the project's model is over; another one once that is not served any more."""
    alias = ModelAlias.objects.filter(name=alias_of(project.slug)).first()
    offered = bases_offered()
    if alias is not None and (alias.base in offered or not offered):
        return alias.base
    return offered[0] if offered else ""


@transaction.atomic
def _finish(promotion_id: int) -> None:
    """Let the open rounds follow."""
    promotion = _unfinished(promotion_id)
    model = meaning_of(alias_of(promotion.project.slug)) if promotion else None
    if promotion is None or model is None:
        return
    promotion.stale_tasks = follow(
        project_id=promotion.project_id,
        served_model_id=model.pk,
        stale=Stale(promotion.stale),
        actor_id=promotion.created_by_id,
    )
    promotion.state, promotion.message = PromotionState.DONE, ""
    promotion.finished_at = timezone.now()
    promotion.save(update_fields=["stale_tasks", "state", "message", "finished_at"])
    _record(promotion, VERBS[PromotionKind(promotion.kind)][1], promotion.created_by_id)


@transaction.atomic
def _say_what_is_left(promotion_id: int, error: Exception) -> None:
    promotion = _unfinished(promotion_id)
    if promotion is not None:
        promotion.message = (
            "Requests get the new model. The open rounds are not given to it yet: that broke off "
            f"({type(error).__name__}) and is tried again by itself. If it goes on like this, the "
            "worker's log says why."
        )
        promotion.save(update_fields=["message"])


@transaction.atomic
def _put_off(promotion_id: int, why: str, *, permanent: bool) -> None:
    """Back to the queue, unless trying again does not help."""
    promotion = _unfinished(promotion_id)
    if promotion is None or promotion.flipped_at is not None:
        return
    why = without_secrets(why)
    log.warning("%s: %s", promotion, why)
    if permanent or promotion.attempts >= ATTEMPTS:
        _fail(promotion, why)
        return
    promotion.state, promotion.message = PromotionState.QUEUED, why
    promotion.save(update_fields=["state", "message"])


def _fail(promotion: Promotion, why: str) -> None:
    promotion.state, promotion.message = PromotionState.FAILED, why
    promotion.finished_at = timezone.now()
    promotion.save(update_fields=["state", "message", "finished_at"])
    _record(promotion, "could not promote", promotion.created_by_id)


def _record(promotion: Promotion, verb: str, actor_id: int | None) -> None:
    adapter, previous = promotion.adapter, promotion.previous
    audit.record(
        verb=verb,
        of=promotion,
        project_id=promotion.project_id,
        actor_id=actor_id,
        promotion=promotion.number,
        adapter=adapter.number if adapter else None,
        previous=previous.number if previous else None,
        reason=promotion.reason[:500],
        message=promotion.message[:500],
    )


def _unfinished(promotion_id: int) -> Promotion | None:
    """Locked; None when it has ended."""
    promotions = Promotion.objects.select_for_update(of=("self",)).select_related(
        "project", "adapter", "previous"
    )
    return promotions.filter(pk=promotion_id, state__in=UNFINISHED_PROMOTIONS).first()


def _locked(project_id: int) -> Project:
    return Project.objects.select_for_update(no_key=True).get(pk=project_id)
