"""Submitting, revising and undoing a ranking."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotate.errors import AlreadyRanked, Conflict, Invalid, NotFound, RoundClosed
from annotate.letters import LETTERS, alike_in_letters, in_letters
from annotate.models import (
    Claim,
    ClaimState,
    Comparison,
    Completion,
    Demonstration,
    Draft,
    Ranking,
    Slot,
)
from annotate.queries.access import REVIEW, labels_in, role_in
from annotate.ranking import (
    InvalidJudgment,
    Judgment,
    Pair,
    check,
    comparisons,
    same_of,
    without_alike_pairs,
)
from annotate.services import audit, drafts, ranking_rows
from annotate.services.drafts import Origin
from annotate.services.ranking_rows import Standing
from formats.bounds import TEXT
from formats.echo import echo

MAX_ACTIVE_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Said:
    """A labeler's judgment in the letters that they saw (A is the first response shown)."""

    tiers: list[list[str]]
    unacceptable: Mapping[str, str] = field(default_factory=dict)
    strengths: list[int | None] = field(default_factory=list)
    ratings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    rationale: str = ""
    active_ms: int = 0
    demonstration: str = ""
    started_from: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """counted: it fills a place of the task; otherwise it is kept as an extra.

    alike: letters of responses that are the same answer, and so tied whatever was said.
    """

    id: int
    claim_id: int
    counted: bool
    revision: int
    created_at: datetime
    alike: list[list[str]]
    replayed: bool = False


def submit_ranking(
    *, claim_id: int, labeler_id: int, key: UUID, said: Said, origin: Origin | None = None
) -> Receipt:
    """Store a ranking, its comparisons and its demonstration, and fill the claim's slot.

    The same key again returns the first receipt. A claim that was lost in the meantime does not
    lose the ranking: it is kept as an extra. origin: of the draft that was on the page; it goes
    with the submit, a newer one stays. Raises NotFound for somebody else's claim, AlreadyRanked
    (with the ranking's id) for a second judgment, Invalid for an unusable one.
    """
    origin = origin or Origin()
    try:
        return _submit(claim_id, labeler_id, key, said, origin)
    except IntegrityError:
        # The same submit came twice in one instant; by now the other one has been stored.
        return _submit(claim_id, labeler_id, key, said, origin)


def _submit(claim_id: int, labeler_id: int, key: UUID, said: Said, origin: Origin) -> Receipt:
    standing = ranking_rows.read(claim_id=claim_id, labeler_id=labeler_id, key=key)
    if standing is None:
        raise NotFound
    if standing.replay is not None:
        return _receipt_of(standing.replay, replayed=True)
    if standing.current_ranking is not None:
        raise AlreadyRanked(
            "You have ranked this task already, perhaps in another tab. "
            "Replace that ranking, or keep it.",
            ranking=standing.current_ranking,
        )
    row, pairs = _to_row(standing, said)
    row |= {
        "demonstration": said.demonstration if said.demonstration.strip() else "",
        "started_from": _started_from(standing, said),
    }
    stored = ranking_rows.insert(
        standing,
        labeler_id=labeler_id,
        key=key,
        row=row,
        pairs=pairs,
        base=origin.base,
        writer=origin.writer,
    )
    alike = alike_in_letters(standing.written)
    return Receipt(stored.id, claim_id, stored.counted, 1, stored.created_at, alike)


@transaction.atomic
def revise_ranking(*, ranking_id: int, labeler_id: int, key: UUID, said: Said) -> Receipt:
    """Store a new revision that supersedes; the old one and what was said in it remain."""
    old = _own(ranking_id, labeler_id)
    standing = ranking_rows.read(claim_id=old.claim_id, labeler_id=labeler_id, key=key)
    if standing is None:
        raise NotFound
    if standing.replay is not None:
        return _receipt_of(standing.replay, replayed=True)
    old.refresh_from_db()
    _refuse_unless_editable(old)
    row, pairs = _to_row(standing, said)
    slot = Slot.objects.filter(ranking=old).first()
    _retire(old)
    new = Ranking.objects.create(
        project_id=old.project_id,
        round_id=old.round_id,
        task_id=old.task_id,
        claim_id=old.claim_id,
        labeler_id=labeler_id,
        key=key,
        revision=old.revision + 1,
        supersedes=old,
        order=standing.order,
        could_look=role_in(old.labeler, old.project_id) in REVIEW,
        **row,
    )
    Comparison.objects.bulk_create([_comparison(new.pk, pair) for pair in pairs])
    if slot is not None:
        Slot.objects.filter(pk=slot.pk).update(ranking=new)
    Draft.objects.filter(task_id=old.task_id, labeler_id=labeler_id).delete()
    _keep_demonstration(new.pk, standing, labeler_id, said)
    audit.record(
        verb="revised", of=new, project_id=old.project_id, actor_id=labeler_id, supersedes=old.pk
    )
    alike = alike_in_letters(standing.written)
    return Receipt(new.pk, old.claim_id, slot is not None, new.revision, new.created_at, alike)


@transaction.atomic
def undo_ranking(*, ranking_id: int, labeler_id: int) -> int:
    """Withdraw a ranking and take its task up again; returns the claim's id.

    What was said comes back as the task's draft; another one that is there is kept beside.
    Undoing twice is the same as once.
    """
    ranking = _own(ranking_id, labeler_id)
    if ranking.withdrawn_at is not None:
        return ranking.claim_id
    _refuse_unless_editable(ranking)
    if ranking.revision > 1:
        raise Conflict(
            "This ranking replaced an earlier one. Open it and change it instead.",
            code="not_undoable",
        )
    slot = Slot.objects.filter(ranking=ranking).first()
    _retire(ranking, withdrawn=True)
    _reopen(ranking.claim, slot)
    drafts.put_newest(task_id=ranking.task_id, labeler_id=labeler_id, body=in_letters(ranking))
    audit.record(verb="withdrew", of=ranking, project_id=ranking.project_id, actor_id=labeler_id)
    return ranking.claim_id


# --- what a judgment must be ----------------------------------------------------------------


def _to_row(standing: Standing, said: Said) -> tuple[dict[str, Any], list[Pair]]:
    """The columns of a ranking and its comparisons. Raises Invalid.

    The ranking keeps what the labeler entered. In its comparisons the same answer is tied with
    itself, in the tier of the better placed one: a preference between equal texts cannot be meant.
    """
    same = same_of(standing.order, standing.written)
    asked = standing.asked
    place = {LETTERS[index]: completion for index, completion in enumerate(standing.order)}
    names = {completion: letter for letter, completion in place.items()}
    judgment = Judgment(
        tiers=tuple(tuple(_known(place, letter) for letter in tier) for tier in said.tiers),
        unacceptable=frozenset(_known(place, letter) for letter in said.unacceptable),
        strengths=tuple(said.strengths) if asked["strength"] else (),
    )
    try:
        check(
            judgment,
            standing.order,
            ties_allowed=asked["ties_allowed"],
            names=names,
            same=same,
        )
    except InvalidJudgment as problem:
        raise Invalid(
            problem.message, code=problem.code, fields={"tiers": [problem.message]}
        ) from None
    _check_texts(standing, said)
    row = {
        "tiers": [list(tier) for tier in judgment.tiers],
        "unacceptable": [
            {"completion": place[letter], "reason": reason}
            for letter, reason in said.unacceptable.items()
        ],
        "strengths": list(judgment.strengths),
        "ratings": _ratings(standing, said, place),
        "tags": said.tags,
        "rationale": said.rationale,
        "active_ms": min(max(said.active_ms, 0), MAX_ACTIVE_MS),
    }
    return row, comparisons(without_alike_pairs(judgment, same))


def _known(place: Mapping[str, int], letter: str) -> int:
    try:
        return place[letter]
    except KeyError:
        shown = ", ".join(place)
        message = f"Response {echo(letter, 20)} is not part of this task. Rank only {shown}."
        raise Invalid(message, code="unknown_response", fields={"tiers": [message]}) from None


def _check_texts(standing: Standing, said: Said) -> None:
    if standing.asked["rationale"] == "required" and not said.rationale.strip():
        message = "This project asks why. Write a sentence before you submit."
        raise Invalid(message, code="rationale_required", fields={"rationale": [message]})
    for name, text in (("rationale", said.rationale), ("demonstration", said.demonstration)):
        if len(text) > TEXT:
            message = f"This text has {len(text)} characters; at most {TEXT} are kept."
            raise Invalid(message, fields={name: [message]})
    if unknown := set(said.tags) - set(standing.asked["tags"]):
        message = f"This project has no tag {', '.join(sorted(unknown))}."
        raise Invalid(message, fields={"tags": [message]})


def _ratings(standing: Standing, said: Said, place: Mapping[str, int]) -> dict[str, Any]:
    axes = {axis["key"]: axis for axis in standing.asked["axes"]}
    ratings: dict[str, dict[str, float]] = {}
    for key, values in said.ratings.items():
        axis = axes.get(key)
        if axis is None:
            message = f"This project has no rating axis {echo(key)}."
            raise Invalid(message, fields={"ratings": [message]})
        for letter, value in values.items():
            if not axis["min"] <= value <= axis["max"]:
                message = f"{axis['name']} goes from {axis['min']} to {axis['max']}, not {value}."
                raise Invalid(message, fields={"ratings": [message]})
            ratings.setdefault(key, {})[str(_known(place, letter))] = value
    return ratings


# --- the steps of a change ------------------------------------------------------------------


def _own(ranking_id: int, labeler_id: int) -> Ranking:
    ranking = (
        Ranking.objects.select_related("claim", "round", "project", "labeler")
        .select_for_update(of=("self",))
        .filter(pk=ranking_id, labeler_id=labeler_id)
        .first()
    )
    if ranking is None or not labels_in(ranking.labeler, ranking.project_id):
        raise NotFound
    return ranking


def _refuse_unless_editable(ranking: Ranking) -> None:
    if not ranking.round.open:
        raise RoundClosed("The round is closed; its rankings can no longer be changed.")
    if not ranking.current:
        newest = Ranking.objects.filter(
            task_id=ranking.task_id, labeler_id=ranking.labeler_id, current=True
        ).first()
        raise Conflict(
            "A newer version of this ranking exists. Replace that one, or keep it.",
            code="outdated",
            ranking=newest.pk if newest else 0,
        )


def _retire(ranking: Ranking, *, withdrawn: bool = False) -> None:
    """Take a ranking out of what counts; its row and what was said in it stay."""
    ranking.current = False
    ranking.withdrawn_at = timezone.now() if withdrawn else None
    ranking.save(update_fields=["current", "withdrawn_at"])
    Comparison.objects.filter(ranking=ranking).delete()
    Slot.objects.filter(ranking=ranking).update(ranking=None)


def _reopen(claim: Claim, slot: Slot | None) -> None:
    claim.expires_at = timezone.now() + timedelta(seconds=claim.project.lease_seconds)
    claim.state = ClaimState.LIVE if slot else ClaimState.EXPIRED
    claim.ended_at = None if slot else timezone.now()
    claim.save(update_fields=["state", "ended_at", "expires_at"])
    if slot:
        Slot.objects.filter(pk=slot.pk).update(claim=claim, lease_until=claim.expires_at)


def _comparison(ranking_id: int, pair: Pair) -> Comparison:
    return Comparison(
        ranking_id=ranking_id,
        winner_id=pair.winner,
        loser_id=pair.loser,
        tie=pair.tie,
        strength=pair.strength,
        winner_unacceptable=pair.winner_unacceptable,
        loser_unacceptable=pair.loser_unacceptable,
    )


def _keep_demonstration(ranking_id: int, standing: Standing, labeler_id: int, said: Said) -> None:
    if said.demonstration.strip():
        Demonstration.objects.create(
            ranking_id=ranking_id,
            prompt_id=standing.prompt_id,
            labeler_id=labeler_id,
            text=said.demonstration,
            started_from_id=_started_from(standing, said),
        )


def _started_from(standing: Standing, said: Said) -> int | None:
    """The completion that a better answer was made of."""
    shown = dict(zip(LETTERS, standing.order, strict=False))
    return shown.get(said.started_from or "")


def _receipt_of(ranking_id: int, *, replayed: bool) -> Receipt:
    ranking = Ranking.objects.get(pk=ranking_id)
    counted = Slot.objects.filter(ranking=ranking).exists()
    shown = Completion.objects.only("text", "finish_reason").in_bulk(ranking.order)
    return Receipt(
        ranking.pk,
        ranking.claim_id,
        counted,
        ranking.revision,
        ranking.created_at,
        alike_in_letters([shown[key].written for key in ranking.order]),
        replayed,
    )
