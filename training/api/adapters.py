"""Trained adapters: look at, read the card, download."""

from functools import partial
from pathlib import PurePosixPath

from django.http import FileResponse, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.exports import AnyMediaType
from annotate.api.paging import page
from annotate.api.shapes import Shape, page_of
from annotate.api.views import ProjectView, user_of
from annotate.queries.access import READ_DATA
from annotate.services import audit
from training.api.evaluations import MeasuredValue, WinRateShape
from training.api.standing import StandingShape
from training.models import EvaluationState, PromotionKind, PromotionState
from training.queries import adapters as reads
from training.queries.standing import standings

CONTENT_TYPES = {".json": "application/json"}
OTHER_FILES = "application/octet-stream"
MARKDOWN = "text/markdown; charset=utf-8"


class AdapterRow(Shape):
    number = serializers.IntegerField()
    run = serializers.IntegerField()
    snapshot = serializers.IntegerField()
    method = serializers.CharField()
    base = serializers.CharField()
    parent = serializers.IntegerField(  # type: ignore[assignment]  # the name is the field's
        allow_null=True, help_text="Adapter that it goes on from, or was held to."
    )
    judge = serializers.IntegerField(
        allow_null=True, help_text="Reward adapter that it learned from."
    )
    content_hash = serializers.CharField()
    bytes = serializers.IntegerField()
    standing = StandingShape()
    accuracy = MeasuredValue(allow_null=True, help_text="On held-out preferences.")
    created_at = serializers.DateTimeField()


class AdapterEvaluation(Shape):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=EvaluationState.choices)
    incumbent = serializers.IntegerField(allow_null=True)
    win_rate = WinRateShape(allow_null=True)
    created_at = serializers.DateTimeField()


class AdapterPromotion(Shape):
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=PromotionKind.choices)
    state = serializers.ChoiceField(choices=PromotionState.choices)
    created_at = serializers.DateTimeField()


class AdapterDetail(AdapterRow):
    served_as = serializers.CharField(
        allow_null=True, help_text="Its versioned name at the replicas; null: never served."
    )
    files = serializers.ListField(child=serializers.CharField())
    evaluations = AdapterEvaluation(
        many=True, help_text="The last 20 in which it is the candidate."
    )
    promotions = AdapterPromotion(many=True, help_text="The last 20 of it.")


AdapterPage = page_of("AdapterPage", AdapterRow)


class AdaptersView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=AdapterPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's adapters, newest first."""
        access = self.access(request, slug, READ_DATA)
        show = partial(reads.row, found=standings(access.project.pk))
        return Response(page(request, reads.of_project(access.project.pk), show))


class AdapterView(ProjectView):
    @extend_schema(responses=AdapterDetail)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """What an adapter is, and what became of it."""
        access = self.access(request, slug, READ_DATA)
        return Response(reads.detail(reads.one(access.project.pk, number)))


class AdapterCardView(ProjectView):
    content_negotiation_class = AnyMediaType

    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR})
    def get(self, request: Request, slug: str, number: int) -> HttpResponse:
        """The adapter card, as Markdown."""
        access = self.access(request, slug, READ_DATA)
        text = reads.card_text(reads.one(access.project.pk, number))
        return HttpResponse(text, content_type=MARKDOWN)


class AdapterFileView(ProjectView):
    content_negotiation_class = AnyMediaType

    @extend_schema(responses={(200, OTHER_FILES, *CONTENT_TYPES.values()): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str, number: int, name: str) -> FileResponse:
        """One of the adapter's files, as it is stored."""
        access = self.access(request, slug, READ_DATA)
        adapter = reads.one(access.project.pk, number)
        file = reads.opened(adapter, name)
        audit.record(
            verb="downloaded",
            of=adapter,
            project_id=access.project.pk,
            actor_id=user_of(request).pk,
            file=name,
        )
        return FileResponse(
            file,
            as_attachment=True,
            filename=f"{slug}-adapter-{number}-{name}",
            content_type=CONTENT_TYPES.get(PurePosixPath(name).suffix, OTHER_FILES),
        )
