"""Snapshots: create, watch, cancel, read, download."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.paging import page
from annotate.api.shapes import Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.errors import Invalid, NotFound
from annotate.queries.access import MANAGE, READ_DATA
from formats.bounds import OVERLAP
from training.models import Snapshot, SnapshotState
from training.queries import snapshots as reads
from training.services import snapshots
from training.snapshots.spec import Aggregation, SnapshotSpec, Weight


class SnapshotSpecShape(Shape):
    rounds = serializers.ListField(
        child=serializers.IntegerField(min_value=1), default=list, max_length=1000
    )
    since = serializers.DateTimeField(default=None, allow_null=True)
    until = serializers.DateTimeField(default=None, allow_null=True)
    labelers = serializers.ListField(
        child=serializers.CharField(max_length=150), default=list, max_length=1000
    )
    minimum_overlap = serializers.IntegerField(
        default=1, min_value=OVERLAP.least, max_value=OVERLAP.most
    )
    flagged = serializers.BooleanField(default=False)
    aggregation = serializers.ChoiceField(
        choices=[str(each) for each in Aggregation], default=str(Aggregation.EVERY)
    )
    weight = serializers.ChoiceField(
        choices=[str(each) for each in Weight], default=str(Weight.RANKING)
    )
    excluded_rounds = serializers.ListField(
        child=serializers.IntegerField(min_value=1), default=list, max_length=1000
    )
    excluded_labelers = serializers.ListField(
        child=serializers.CharField(max_length=150), default=list, max_length=1000
    )


class SideCounts(Shape):
    prompts = serializers.IntegerField()
    tasks = serializers.IntegerField()
    rankings = serializers.IntegerField()
    rows = serializers.IntegerField()
    comparisons = serializers.IntegerField()
    ties = serializers.IntegerField()
    identical = serializers.IntegerField(
        help_text="Pairs of identical answers that labelers had ordered: ties, no comparisons."
    )
    all_bad = serializers.IntegerField()
    demonstrations = serializers.IntegerField()


class SnapshotCounts(Shape):
    train = SideCounts()
    held_out = SideCounts()


class SnapshotRow(Shape):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=SnapshotState.choices)
    message = serializers.CharField()
    tasks_done = serializers.IntegerField()
    tasks_total = serializers.IntegerField()
    content_hash = serializers.CharField()
    aggregation = serializers.ChoiceField(choices=[str(each) for each in Aggregation])
    counts = SnapshotCounts(allow_null=True)
    labelers = serializers.IntegerField(allow_null=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class SnapshotFile(Shape):
    name = serializers.CharField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class SnapshotModel(Shape):
    model = serializers.CharField()
    adapter_hash = serializers.CharField()
    completions = serializers.IntegerField()


class SnapshotAgreement(Shape):
    tasks = serializers.IntegerField()
    comparisons = serializers.IntegerField()
    alike = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True)


class SnapshotDetail(SnapshotRow):
    spec = SnapshotSpecShape()
    rounds = serializers.ListField(child=serializers.IntegerField())
    models = SnapshotModel(many=True)
    agreement = SnapshotAgreement(allow_null=True)
    methods = serializers.DictField(
        child=serializers.DictField(allow_null=True),
        help_text="For each method the engine's `data`; null where the snapshot has none for it.",
    )
    files = SnapshotFile(many=True)
    parquet = serializers.ListField(
        child=serializers.CharField(), help_text="Files that are made of others when asked for."
    )
    load_dataset = serializers.ListField(
        child=serializers.CharField(),
        help_text="How to read the unpacked archive: a line of Python for each kind of rows.",
    )
    changed_since = serializers.IntegerField(
        help_text="How many of its rankings were revised or withdrawn after it was built."
    )


SnapshotPage = page_of("SnapshotPage", SnapshotRow)


class SnapshotsView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=SnapshotPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's snapshots, newest first."""
        access = self.access(request, slug, READ_DATA)
        return Response(page(request, reads.of_project(access.project.pk), reads.row))

    @extend_schema(request=SnapshotSpecShape, responses={201: SnapshotDetail})
    def post(self, request: Request, slug: str) -> Response:
        """Freeze the project's rankings into a dataset; a job builds it."""
        access = self.access(request, slug, MANAGE)
        body = body_of(SnapshotSpecShape, request)
        snapshot = snapshots.create_snapshot(
            project_id=access.project.pk,
            actor_id=user_of(request).pk,
            spec=_spec(access.project.pk, body),
        )
        return Response(reads.detail(snapshot), status=201)


class SnapshotView(ProjectView):
    @extend_schema(responses=SnapshotDetail)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """What is in a snapshot, or how far it is."""
        access = self.access(request, slug, READ_DATA)
        return Response(reads.detail(reads.one(access.project.pk, number)))


_ACTIONS: dict[str, Callable[..., Snapshot]] = {
    "cancel": snapshots.cancel_snapshot,
    "retry": snapshots.retry_snapshot,
}


class SnapshotActionView(ProjectView):
    @extend_schema(
        request=None,
        responses=SnapshotDetail,
        parameters=[OpenApiParameter("step", str, OpenApiParameter.PATH, enum=sorted(_ACTIONS))],
    )
    def post(self, request: Request, slug: str, number: int, step: str) -> Response:
        """Cancel a snapshot that is being built, or build one that failed again."""
        access = self.access(request, slug, MANAGE)
        verb = _ACTIONS.get(step)
        if verb is None:
            raise NotFound
        snapshot = reads.one(access.project.pk, number)
        verb(snapshot_id=snapshot.pk, actor_id=user_of(request).pk)
        return Response(reads.detail(reads.one(access.project.pk, number)))


def _spec(project_id: int, body: dict[str, Any]) -> SnapshotSpec:
    return SnapshotSpec(
        rounds=tuple(body["rounds"]),
        since=body["since"],
        until=body["until"],
        labelers=_people(project_id, body, "labelers"),
        minimum_overlap=body["minimum_overlap"],
        flagged=body["flagged"],
        aggregation=Aggregation(body["aggregation"]),
        weight=Weight(body["weight"]),
        excluded_rounds=tuple(body["excluded_rounds"]),
        excluded_labelers=_people(project_id, body, "excluded_labelers"),
    )


def _people(project_id: int, body: dict[str, Any], field: str) -> tuple[int, ...]:
    known = reads.labelers_named(project_id, body[field])
    if unknown := sorted(set(body[field]) - known.keys()):
        message = f"“{unknown[0]}” has ranked nothing here. Choose among those who have."
        raise Invalid(message, fields={field: [message]})
    return tuple(known.values())
