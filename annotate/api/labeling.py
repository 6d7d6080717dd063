"""What a labeler's browser calls: the next task, drafts, rankings, skips and flags."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.held_task import ClaimShape, alike_letters, claim_shape
from annotate.api.shapes import ProjectName, Reason, Shape
from annotate.api.views import body_of, user_of
from annotate.errors import Invalid
from annotate.models import FlagKind, Role
from annotate.queries import queues
from annotate.queries.empty import why_empty
from annotate.services import claims, queue, rankings
from annotate.services.drafts import Origin
from annotate.services.rankings import Receipt, Said
from formats.bounds import NOTE, TEXT, WHY_UNACCEPTABLE, K


class LongText(serializers.CharField):
    """What a labeler writes at length, every blank of it."""

    default_error_messages = {
        "max_length": "This text is too long: at most {max_length} characters are kept."
    }

    def __init__(self, **options: Any) -> None:
        whole = {"allow_blank": True, "trim_whitespace": False, "max_length": TEXT}
        super().__init__(**{**whole, **options})


class Demonstration(Shape):
    text = LongText()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a word of the language.
        label = serializers.CharField(required=False, allow_null=True, max_length=1)
        return {**super().get_fields(), "from": label}


class UnacceptableMark(Shape):
    label = serializers.CharField(max_length=1)  # type: ignore[assignment]  # its own name
    reason = serializers.CharField(allow_blank=True, default="", max_length=WHY_UNACCEPTABLE)


class DraftOf(Shape):
    """The draft that was on the page: it goes with the submit, a newer one stays."""

    base = serializers.IntegerField(min_value=0)
    writer = serializers.CharField(max_length=36)


class Submit(Shape):
    """A ranking in the letters that were shown."""

    key = serializers.UUIDField(help_text="Made by the client, once for each submit.")
    tiers = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=40), max_length=K.most),
        min_length=1,
        max_length=K.most,
        help_text="Best first; every letter exactly once; a tie shares a tier.",
    )
    unacceptable = UnacceptableMark(many=True, required=False)
    strengths = serializers.ListField(
        child=serializers.IntegerField(allow_null=True), required=False, max_length=K.most - 1
    )
    ratings = serializers.DictField(
        child=serializers.DictField(child=serializers.FloatField()), required=False
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=50
    )
    rationale = LongText(required=False)
    active_ms = serializers.IntegerField(required=False, min_value=0)
    demonstration = Demonstration(required=False, allow_null=True)
    draft = DraftOf(required=False)


class NextClaim(Shape):
    claim = ClaimShape(allow_null=True)
    reason = Reason(allow_null=True)


class Have(Shape):
    have = serializers.ListField(child=serializers.IntegerField(), required=False, max_length=50)


class ReceiptShape(Shape):
    id = serializers.IntegerField()
    claim = serializers.IntegerField()
    counted = serializers.BooleanField(
        help_text="False: kept as an extra, because the task was full already."
    )
    revision = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    alike = alike_letters()


class Renewed(Shape):
    expires_at = serializers.DateTimeField()


class Skip(Shape):
    key = serializers.UUIDField(required=False)
    reason = serializers.CharField(max_length=40, allow_blank=True, default="")
    note = serializers.CharField(max_length=NOTE, allow_blank=True, default="")


class Flag(Shape):
    key = serializers.UUIDField(required=False)
    kind = serializers.ChoiceField(choices=FlagKind.choices)
    note = serializers.CharField(max_length=NOTE, allow_blank=True, default="")


class Queue(Shape):
    project = ProjectName()
    role = serializers.ChoiceField(choices=Role.choices)
    waiting = serializers.IntegerField(help_text="Tasks that I could rank now.")
    ranked_today = serializers.IntegerField(help_text="Since midnight in the zone asked for.")
    ranked_total = serializers.IntegerField()
    reason = Reason(allow_null=True)


class Queues(Shape):
    results = Queue(many=True)


def said_of(body: dict[str, Any]) -> Said:
    """A validated submit in the terms of the service."""
    demonstration = body.get("demonstration") or {}
    return Said(
        tiers=body["tiers"],
        unacceptable={mark["label"]: mark["reason"] for mark in body.get("unacceptable", [])},
        strengths=body.get("strengths", []),
        ratings=body.get("ratings", {}),
        tags=body.get("tags", []),
        rationale=body.get("rationale", ""),
        active_ms=body.get("active_ms", 0),
        demonstration=demonstration.get("text", ""),
        started_from=demonstration.get("from"),
    )


def receipt_shape(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "claim": receipt.claim_id,
        "counted": receipt.counted,
        "revision": receipt.revision,
        "created_at": receipt.created_at,
        "alike": receipt.alike,
    }


class QueuesView(AskedView):
    @extend_schema(
        parameters=[
            OpenApiParameter("zone", str, description="My time zone, as Asia/Tokyo; else UTC.")
        ],
        responses=Queues,
    )
    def get(self, request: Request) -> Response:
        """The projects that I take part in, and what waits for me there."""
        zone = queues.zone_named(request.query_params.get("zone", ""))
        return Response({"results": queues.of_labeler(user_of(request), zone)})


class ClaimsView(AskedView):
    @extend_schema(request=Have, responses=NextClaim)
    def post(self, request: Request, slug: str) -> Response:
        """The next task for me: one that I hold but this client does not know of, or a new one."""
        have = body_of(Have, request).get("have", [])
        labeler_id = user_of(request).pk
        standing, held = claims.next_claim(slug=slug, labeler_id=labeler_id, have=have)
        if held is not None:
            return Response({"claim": claim_shape(held), "reason": None})
        reason = why_empty(standing.project_id, labeler_id)
        return Response({"claim": None, "reason": reason})


class RenewView(AskedView):
    @extend_schema(request=None, responses={200: Renewed})
    def post(self, request: Request, claim_id: int) -> Response:
        """Keep a task for another lease."""
        expires_at = claims.renew(claim_id=claim_id, labeler_id=user_of(request).pk)
        return Response({"expires_at": expires_at})


class ReleaseView(AskedView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, claim_id: int) -> Response:
        """Give a task back."""
        claims.release(claim_id=claim_id, labeler_id=user_of(request).pk)
        return Response(status=204)


class RankingView(AskedView):
    @extend_schema(request=Submit, responses={200: ReceiptShape, 201: ReceiptShape})
    def post(self, request: Request, claim_id: int) -> Response:
        """Submit a ranking; the same key again returns the same receipt with status 200."""
        body = body_of(Submit, request)
        receipt = rankings.submit_ranking(
            claim_id=claim_id,
            labeler_id=user_of(request).pk,
            key=body["key"],
            said=said_of(body),
            origin=Origin(**body.get("draft", {})),
        )
        return Response(receipt_shape(receipt), status=200 if receipt.replayed else 201)


class SkipView(AskedView):
    @extend_schema(request=Skip, responses={200: None})
    def post(self, request: Request, claim_id: int) -> Response:
        """Pass a task on without ranking it; I am not offered it again."""
        body = body_of(Skip, request)
        claims.skip(
            claim_id=claim_id,
            labeler_id=user_of(request).pk,
            reason=body["reason"],
            note=body["note"],
        )
        return Response({})


class FlagView(AskedView):
    @extend_schema(request=Flag, responses={200: None})
    def post(self, request: Request, claim_id: int) -> Response:
        """Pass a task on and tell the admins what is wrong with it."""
        body = body_of(Flag, request)
        claims.flag(
            claim_id=claim_id,
            labeler_id=user_of(request).pk,
            kind=FlagKind(body["kind"]),
            note=body["note"],
        )
        return Response({})


class UndoneShape(Shape):
    claim = ClaimShape()


class UndoView(AskedView):
    @extend_schema(request=None, responses={200: UndoneShape})
    def post(self, request: Request, ranking_id: int) -> Response:
        """Withdraw a ranking of mine and take its task up again, filled in as it was."""
        claim_id = rankings.undo_ranking(ranking_id=ranking_id, labeler_id=user_of(request).pk)
        held = queue.look(claim_id=claim_id)
        if held is None:
            raise Invalid("The task of this ranking has no responses any more.")
        return Response({"claim": claim_shape(held)})


class RevisionsView(AskedView):
    @extend_schema(request=Submit, responses={200: ReceiptShape, 201: ReceiptShape})
    def post(self, request: Request, ranking_id: int) -> Response:
        """Replace a ranking of mine while its round is open; the old one stays on record."""
        body = body_of(Submit, request)
        receipt = rankings.revise_ranking(
            ranking_id=ranking_id,
            labeler_id=user_of(request).pk,
            key=body["key"],
            said=said_of(body),
        )
        return Response(receipt_shape(receipt), status=200 if receipt.replayed else 201)
