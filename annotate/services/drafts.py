"""Drafts: which of several texts of one labeler is the newest, and what becomes of the others.

No clock decides. A write names the version it was made from; the server gives versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from annotate.errors import Invalid, NotFound
from annotate.models import Draft, KeptDraft
from annotate.services.claims import claim_of

MAX_DRAFT_BYTES = 64 * 1024
# Of one labeler and task; the oldest goes first.
MAX_KEPT = 20
# What changes without anything being said.
_NOT_SAID = {"active_ms", "placed", "saved_ms"}


@dataclass(frozen=True, slots=True)
class Origin:
    """What a text was made from.

    base: the version that the page showed, 0 for none, None for whatever is the newest. writer and
    step: the page that wrote it and the page's own count of its changes.
    """

    base: int | None = None
    writer: str = ""
    step: int = 0


@dataclass(frozen=True, slots=True)
class Saved:
    """version: of the newest text. kept: the id under which this one lies beside it, if it does."""

    version: int
    saved_at: datetime
    kept: int | None = None


@transaction.atomic
def save_draft(
    *, claim_id: int, labeler_id: int, body: dict[str, Any], size: int, origin: Origin | None = None
) -> Saved:
    """Keep what a labeler has entered so far; `size` is that of the body in bytes.

    A text made from the newest version, or a later one of the page that wrote it, takes its place;
    one made from an older version is kept beside it. Of two requests of one page the later counts.
    """
    if size > MAX_DRAFT_BYTES:
        raise Invalid("The draft is too long to be saved (64 kB at most). Shorten your texts.")
    origin = origin or Origin()
    task_id = claim_of(claim_id, labeler_id).task_id
    text = {
        "body": body,
        "writer": origin.writer,
        "step": origin.step,
        "saved_at": timezone.now(),
    }
    newest, made = Draft.objects.select_for_update().get_or_create(
        task_id=task_id, labeler_id=labeler_id, defaults=text
    )
    kept = None
    if not made and not _overtaken(newest, origin):
        if _goes_on(newest, origin):
            _write(newest, **text)
        elif not same_text(newest.body, body):
            kept = keep_beside(task_id, labeler_id, text)
    newest.refresh_from_db(fields=["version"])
    return Saved(newest.version, newest.saved_at, kept)


@transaction.atomic
def use_kept(*, claim_id: int, labeler_id: int, kept_id: int) -> None:
    """Make a text that was kept beside the newest one; what was the newest is kept in its place."""
    task_id = claim_of(claim_id, labeler_id).task_id
    newest = Draft.objects.select_for_update().filter(task_id=task_id, labeler_id=labeler_id)
    before = newest.first()
    kept = KeptDraft.objects.filter(pk=kept_id, task_id=task_id, labeler_id=labeler_id).first()
    if kept is None:
        raise NotFound
    text = {name: getattr(kept, name) for name in ("body", "writer", "step", "saved_at")}
    kept.delete()
    if before is None:
        Draft.objects.create(task_id=task_id, labeler_id=labeler_id, **text)
        return
    set_aside(before)
    _write(before, **text)


@transaction.atomic
def drop_kept(*, claim_id: int, labeler_id: int, kept_id: int) -> None:
    """Forget a text that was kept beside; what is gone already is no error."""
    task_id = claim_of(claim_id, labeler_id).task_id
    KeptDraft.objects.filter(pk=kept_id, task_id=task_id, labeler_id=labeler_id).delete()


def put_newest(*, task_id: int, labeler_id: int, body: dict[str, Any]) -> None:
    """What the server itself makes the newest text; another one that is there is kept beside."""
    text = {"body": body, "writer": "", "step": 0, "saved_at": timezone.now()}
    newest, made = Draft.objects.select_for_update().get_or_create(
        task_id=task_id, labeler_id=labeler_id, defaults=text
    )
    if not made:
        if not same_text(newest.body, body):
            set_aside(newest)
        _write(newest, **text)


def set_aside(newest: Draft) -> None:
    """Keep a copy of the newest text beside, before another one takes its place."""
    text = {name: getattr(newest, name) for name in ("body", "writer", "step", "saved_at")}
    keep_beside(newest.task_id, newest.labeler_id, text)


def keep_beside(task_id: int, labeler_id: int, text: Mapping[str, Any]) -> int:
    """One text for each writer, its latest; returns the id."""
    mine = KeptDraft.objects.filter(task_id=task_id, labeler_id=labeler_id)
    # Who does not say who they are is somebody else every time.
    writer = text["writer"] or str(uuid4())
    kept, made = mine.select_for_update().get_or_create(
        writer=writer,
        defaults={**text, "writer": writer, "task_id": task_id, "labeler_id": labeler_id},
    )
    if not made and kept.step < text["step"]:
        _write(kept, **text)
    too_many = mine.order_by("-saved_at", "-pk").values_list("pk", flat=True)[MAX_KEPT:]
    KeptDraft.objects.filter(pk__in=list(too_many)).delete()
    return kept.pk


def same_text(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two drafts say the same."""
    return _said(one) == _said(other)


def _said(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _NOT_SAID}


def _overtaken(newest: Draft, origin: Origin) -> bool:
    """An earlier request of the page that wrote the newest text, or the same one again."""
    return bool(origin.writer) and newest.writer == origin.writer and origin.step <= newest.step


def _goes_on(newest: Draft, origin: Origin) -> bool:
    mine = bool(origin.writer) and newest.writer == origin.writer
    return mine or origin.base is None or origin.base == newest.version


def _write(row: Draft | KeptDraft, **text: Any) -> None:
    for name, value in text.items():
        setattr(row, name, value)
    row.save(update_fields=list(text))
