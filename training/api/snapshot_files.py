"""The content of snapshots: files, the whole as an archive, the first rows."""

from pathlib import PurePosixPath
from typing import Any

from django.http import FileResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.exports import AnyMediaType
from annotate.api.paging import limit_of
from annotate.api.shapes import Shape
from annotate.api.views import ProjectView, user_of
from annotate.queries.access import READ_DATA
from annotate.services import audit
from training.models import Snapshot
from training.queries import snapshot_files as content
from training.queries import snapshots as reads
from training.snapshots.files import CARD, SCHEMA
from training.snapshots.parquet import PARQUET
from training.snapshots.sides import HELD_OUT, TRAIN

CONTENT_TYPES = {
    ".jsonl": "application/jsonl",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".zip": "application/zip",
}
# Of a snapshot's single files.
MEDIA_TYPES = [each.split(";")[0] for end, each in CONTENT_TYPES.items() if end != ".zip"]


class SnapshotRows(Shape):
    rows = serializers.ListField(child=serializers.DictField())
    more = serializers.BooleanField()


class SnapshotCardView(ProjectView):
    content_negotiation_class = AnyMediaType

    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR})
    def get(self, request: Request, slug: str, number: int) -> FileResponse:
        """The dataset card, as Markdown."""
        access = self.access(request, slug, READ_DATA)
        card = content.opened(reads.one(access.project.pk, number), CARD)
        return FileResponse(card, content_type=CONTENT_TYPES[".md"])


class SnapshotFileView(ProjectView):
    content_negotiation_class = AnyMediaType

    @extend_schema(responses={(200, *MEDIA_TYPES): OpenApiTypes.BINARY})
    def get(
        self, request: Request, slug: str, number: int, name: str
    ) -> FileResponse | StreamingHttpResponse:
        """One of the snapshot's files, as it is stored, or made into Parquet."""
        access = self.access(request, slug, READ_DATA)
        snapshot = reads.one(access.project.pk, number)
        stream: Any = content.as_parquet if name.endswith(PARQUET) else content.opened
        body = stream(snapshot, name)
        _note_download(request, snapshot, name)
        return _attached(body, f"{reads.archive_name(snapshot)}-{name.replace('/', '-')}")


class SnapshotArchiveView(ProjectView):
    content_negotiation_class = AnyMediaType

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str, number: int) -> StreamingHttpResponse:
        """The whole snapshot as one zip file, JSON lines and Parquet."""
        access = self.access(request, slug, READ_DATA)
        snapshot = reads.one(access.project.pk, number)
        name = reads.archive_name(snapshot)
        body = content.archive(snapshot, name)
        _note_download(request, snapshot, "download.zip")
        return _attached(body, f"{name}.zip")


class SnapshotRowsView(ProjectView):
    @extend_schema(
        parameters=[
            OpenApiParameter("side", str, enum=[TRAIN, HELD_OUT], default=TRAIN),
            OpenApiParameter("kind", str, enum=sorted(SCHEMA), default="rankings"),
            OpenApiParameter("limit", int),
        ],
        responses=SnapshotRows,
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        """The first rows, at most 100, as they are in the file."""
        access = self.access(request, slug, READ_DATA)
        rows = content.first_rows(
            reads.one(access.project.pk, number),
            side=request.query_params.get("side") or TRAIN,
            kind=request.query_params.get("kind") or "rankings",
            limit=limit_of(request),
        )
        return Response(rows)


def _note_download(request: Request, snapshot: Snapshot, name: str) -> None:
    audit.record(
        verb="downloaded",
        of=snapshot,
        project_id=snapshot.project_id,
        actor_id=user_of(request).pk,
        file=name,
    )


def _attached(body: Any, filename: str) -> FileResponse | StreamingHttpResponse:
    """body: an opened file, or the pieces of one that is being made."""
    content_type = CONTENT_TYPES[PurePosixPath(filename).suffix]
    if hasattr(body, "read"):
        return FileResponse(body, as_attachment=True, filename=filename, content_type=content_type)
    response = StreamingHttpResponse(body, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["X-Accel-Buffering"] = "no"
    return response
