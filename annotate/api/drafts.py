"""What a labeler's browser keeps of a text in the making, and finds again."""

from typing import Any

import orjson
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.held_task import ClaimShape, claim_shape
from annotate.api.shapes import Shape
from annotate.api.views import body_of, user_of
from annotate.errors import NotFound
from annotate.services import claims, drafts, queue
from annotate.services.drafts import Origin


class DraftBody(Shape):
    body = serializers.DictField()
    base = serializers.IntegerField(
        required=False,
        min_value=0,
        help_text="The version that this text was made from, 0 for none. Not given: the newest.",
    )
    writer = serializers.CharField(
        required=False, max_length=36, help_text="Made by the client, once for each page."
    )
    step = serializers.IntegerField(
        required=False, min_value=0, help_text="Grows with each change that the writer saves."
    )


class SavedDraft(Shape):
    saved_at = serializers.DateTimeField()
    version = serializers.IntegerField(help_text="Of the newest text.")
    kept = serializers.IntegerField(
        allow_null=True,
        help_text="A newer text was there: this one is kept beside it under this id.",
    )


class HeldClaim(Shape):
    claim = ClaimShape()


class ClaimView(AskedView):
    @extend_schema(responses=HeldClaim)
    def get(self, request: Request, claim_id: int) -> Response:
        """A claim of mine with its draft, whatever became of it."""
        claims.claim_of(claim_id, user_of(request).pk)
        return Response(_shown(claim_id))


class DraftView(AskedView):
    @extend_schema(request=DraftBody, responses=SavedDraft)
    def put(self, request: Request, claim_id: int) -> Response:
        """Keep what has been entered so far; what is made from an older text never replaces one."""
        found = body_of(DraftBody, request)
        body = found.pop("body")
        saved = drafts.save_draft(
            claim_id=claim_id,
            labeler_id=user_of(request).pk,
            body=body,
            size=len(orjson.dumps(body)),
            origin=Origin(**found),
        )
        return Response({"saved_at": saved.saved_at, "version": saved.version, "kept": saved.kept})


class KeptView(AskedView):
    @extend_schema(request=None, responses=HeldClaim)
    def post(self, request: Request, claim_id: int, kept_id: int) -> Response:
        """Make a text that was kept the newest; the newest is kept in its place."""
        drafts.use_kept(claim_id=claim_id, labeler_id=user_of(request).pk, kept_id=kept_id)
        return Response(_shown(claim_id))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, claim_id: int, kept_id: int) -> Response:
        """Forget a text that was kept."""
        drafts.drop_kept(claim_id=claim_id, labeler_id=user_of(request).pk, kept_id=kept_id)
        return Response(status=204)


def _shown(claim_id: int) -> dict[str, Any]:
    held = queue.look(claim_id=claim_id)
    if held is None:
        raise NotFound
    return {"claim": claim_shape(held)}
