"""Streamed exports: comparisons and raw rankings, as JSONL and Parquet."""

from collections.abc import Iterable

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from annotate.api.browsing import round_number
from annotate.api.views import ProjectView, user_of
from annotate.errors import Invalid, NotFound
from annotate.exchange.exporters import CONTENT_TYPES, EXPORTERS
from annotate.models import Split
from annotate.queries.access import READ_DATA
from annotate.queries.export import READERS
from annotate.services import audit


class AnyMediaType(BaseContentNegotiation):
    """The address names the format; whatever the client's Accept header says, it is that."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""


class ExportView(ProjectView):
    content_negotiation_class = AnyMediaType

    @extend_schema(
        parameters=[
            OpenApiParameter("round", int),
            OpenApiParameter("split", str, enum=Split.values),
            OpenApiParameter("what", str, OpenApiParameter.PATH, enum=sorted(EXPORTERS)),
            OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=sorted(CONTENT_TYPES)),
        ],
        responses={(200, *CONTENT_TYPES.values()): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, slug: str, what: str, kind: str) -> StreamingHttpResponse:
        """The whole dataset, streamed in constant memory."""
        access = self.access(request, slug, READ_DATA)
        if what not in EXPORTERS or kind not in EXPORTERS[what].writers:
            raise NotFound
        split = request.query_params.get("split") or None
        if split not in (None, *Split.values):
            raise Invalid("split is train or held_out.", fields={"split": ["Unknown."]})
        number = round_number(request)
        audit.record(
            verb=f"exported {what}",
            of=access.project,
            project_id=access.project.pk,
            actor_id=user_of(request).pk,
            kind=kind,
            round=number,
            split=split,
        )
        groups = READERS[what](access.project.pk, round_number=number, split=split)
        written = EXPORTERS[what].writers[kind](groups)
        response = StreamingHttpResponse(written, content_type=CONTENT_TYPES[kind])
        part = f"-round-{number}" if number is not None else ""
        part += f"-{split}" if split else ""
        response["Content-Disposition"] = f'attachment; filename="{slug}{part}-{what}.{kind}"'
        response["X-Accel-Buffering"] = "no"
        return response
