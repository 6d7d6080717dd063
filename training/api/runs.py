"""Training runs: ask for one, watch it, stop it, go on with it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.exports import AnyMediaType
from annotate.api.paging import page
from annotate.api.shapes import Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.errors import Invalid, NotFound
from annotate.queries.access import MANAGE, READ_DATA
from formats.echo import echo
from training.api.standing import StandingShape
from training.models import RunState, Snapshot, TrainingRun
from training.queries import runs as reads
from training.queries.lengths import expected
from training.queries.named import adapter_id, id_of
from training.queries.servable import warnings_for
from training.queries.standing import standings
from training.runs.assembly import PARENT_USES
from training.runs.options import FIELD_KINDS
from training.services import runs
from training.services.runs.estimates import refuse_unknown_layers

POINTS = 1000
LARGEST = 2**31 - 1


class RunRequest(Shape):
    snapshot = serializers.IntegerField(min_value=1, max_value=LARGEST)
    method = serializers.CharField(max_length=10)
    preset = serializers.CharField(max_length=40, default="", allow_blank=True)
    values = serializers.DictField(
        default=dict,
        help_text="What differs from the preset, by section of the engine's spec.",
    )
    parent = serializers.IntegerField(  # type: ignore[assignment]  # the name is the field's
        default=None, allow_null=True, min_value=1, max_value=LARGEST, help_text="An adapter."
    )
    parent_use = serializers.ChoiceField(choices=PARENT_USES, default=PARENT_USES[0])
    judge = serializers.IntegerField(
        default=None,
        allow_null=True,
        min_value=1,
        max_value=LARGEST,
        help_text="A reward adapter.",
    )


class MemoryPart(Shape):
    name = serializers.CharField()
    mb = serializers.FloatField()
    when = serializers.ChoiceField(choices=["always", "training", "moment"])


class Memory(Shape):
    """MB of 2**20 bytes."""

    parts = MemoryPart(many=True)
    total_mb = serializers.FloatField(help_text="Peak while it trains.")
    weights_mb = serializers.FloatField()
    inference_mb = serializers.FloatField(help_text="What serving the base takes.")
    device = serializers.CharField()
    available_mb = serializers.FloatField(allow_null=True)
    fits = serializers.BooleanField(allow_null=True)


class LeftOutPart(Shape):
    reason = serializers.CharField()
    count = serializers.IntegerField()
    unit = serializers.CharField(help_text="What is counted: rows, prompts, completions…")
    of = serializers.IntegerField(allow_null=True, help_text="Null where nobody counted those.")
    share = serializers.FloatField(allow_null=True)


class LeftOut(Shape):
    share = serializers.FloatField(
        allow_null=True, help_text="Of the data's answers that the run holds nothing of."
    )
    parts = LeftOutPart(many=True)


class RunEstimate(Shape):
    spec = serializers.DictField()
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What should be known before such a run begins."
    )
    left_out = LeftOutPart(
        many=True, help_text="What such a run would leave out, by the tokens that servers counted."
    )
    estimate = Memory()
    available_mb = serializers.FloatField(allow_null=True, help_text="Free on this machine now.")
    fits = serializers.BooleanField(allow_null=True)


class RunMethod(Shape):
    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    available = serializers.BooleanField()
    reason = serializers.CharField(help_text="Why it is not available.")


class RunPreset(Shape):
    name = serializers.CharField()
    title = serializers.CharField()
    why = serializers.CharField()
    weights_b = serializers.FloatField(help_text="Largest base, in billions of weights.")
    recommended = serializers.BooleanField()
    values = serializers.DictField(
        child=serializers.DictField(), help_text="Of each method what it decides, by path."
    )


class RunField(Shape):
    path = serializers.CharField()
    section = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    type = serializers.ChoiceField(choices=FIELD_KINDS)
    default = serializers.JSONField(allow_null=True)
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)
    unit = serializers.CharField(allow_null=True)
    methods = serializers.ListField(child=serializers.CharField())


class RunOptions(Shape):
    base = serializers.CharField()
    methods = RunMethod(many=True)
    presets = RunPreset(many=True)
    fields = RunField(many=True)  # type: ignore[assignment]  # the name is the field's


class RunRow(Shape):
    number = serializers.IntegerField()
    method = serializers.CharField()
    preset = serializers.CharField()
    snapshot = serializers.IntegerField()
    parent = serializers.IntegerField(allow_null=True)  # type: ignore[assignment]
    judge = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=RunState.choices)
    stopping = serializers.BooleanField(help_text="Asked to end; it saves a checkpoint first.")
    phase = serializers.CharField()
    step = serializers.IntegerField(help_text="Of the phase.")
    steps = serializers.IntegerField(allow_null=True)
    eta_s = serializers.FloatField(allow_null=True)
    message = serializers.CharField()
    adapter = serializers.IntegerField(allow_null=True)
    adapter_standing = StandingShape(allow_null=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class RunDetail(RunRow):
    heartbeat_at = serializers.DateTimeField(allow_null=True)
    worker = serializers.CharField()
    starts = serializers.IntegerField()
    advice = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField())
    estimate = Memory(allow_null=True)
    spec = serializers.DictField()
    measured = serializers.DictField(allow_null=True)
    data_report = serializers.DictField(
        allow_null=True, help_text="What was left out of the data, as the engine says it."
    )
    left_out = LeftOut()
    made = serializers.DictField(allow_null=True)
    latest = serializers.DictField(allow_null=True, help_text="The last line of metrics.")


class RunMetricRow(Shape):
    position = serializers.IntegerField()
    values = serializers.DictField()


class RunMetrics(Shape):
    total = serializers.IntegerField()
    rows = RunMetricRow(many=True)


RunPage = page_of("RunPage", RunRow)


class RunsView(ProjectView):
    @extend_schema(
        parameters=[
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int),
            OpenApiParameter("snapshot", int),
        ],
        responses=RunPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's runs, newest first."""
        access = self.access(request, slug, READ_DATA)
        rows = reads.of_project(access.project.pk)
        if (snapshot := _number(request, "snapshot")) is not None:
            rows = rows.filter(snapshot__number=snapshot)
        show = partial(reads.row, found=standings(access.project.pk))
        return Response(page(request, rows, show))

    @extend_schema(request=RunRequest, responses={201: RunDetail})
    def post(self, request: Request, slug: str) -> Response:
        """Train on a snapshot; a worker takes the run up."""
        access = self.access(request, slug, MANAGE)
        asked = _asked(access.project.pk, request)
        drafted = runs.draft(project_id=access.project.pk, **asked)
        refuse_unknown_layers(drafted.spec, ask=True)  # seconds, outside of the transaction
        run = runs.create_run(project_id=access.project.pk, actor_id=user_of(request).pk, **asked)
        return Response(reads.detail(reads.one(access.project.pk, run.number)), status=201)


class RunEstimateView(ProjectView):
    @extend_schema(request=RunRequest, responses=RunEstimate)
    def post(self, request: Request, slug: str) -> Response:
        """The whole spec of such a run, and the memory it would take; takes some seconds."""
        access = self.access(request, slug, MANAGE)
        asked = _asked(access.project.pk, request)
        draft = runs.draft(project_id=access.project.pk, **asked)
        found = runs.estimate(draft.spec)
        refuse_unknown_layers(draft.spec)
        room = {"available_mb": found["available_mb"], "fits": found["fits"]}
        told = {
            "spec": draft.spec,
            "warnings": warnings_for(draft.spec),
            "left_out": expected(draft.snapshot, draft.spec),
        }
        return Response({**told, "estimate": found, **room})


class RunOptionsView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("snapshot", int, description="Train on this one.")],
        responses=RunOptions,
    )
    def get(self, request: Request, slug: str) -> Response:
        """What a new run may be asked for."""
        access = self.access(request, slug, READ_DATA)
        return Response(reads.offered(access.project.pk, _number(request, "snapshot")))


class RunView(ProjectView):
    @extend_schema(responses=RunDetail)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """What a run does, how far it is, what it measured."""
        access = self.access(request, slug, READ_DATA)
        return Response(reads.detail(reads.one(access.project.pk, number)))


class RunMetricsView(ProjectView):
    @extend_schema(
        parameters=[
            OpenApiParameter("after", int, description="Only lines after this position."),
            OpenApiParameter("points", int, description=f"About so many lines; {POINTS}."),
        ],
        responses=RunMetrics,
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        """Lines of metrics, thinned out evenly."""
        access = self.access(request, slug, READ_DATA)
        points = _number(request, "points") or POINTS
        run = reads.one(access.project.pk, number)
        return Response(reads.metrics(run, after=_number(request, "after"), points=points))


class RunLogView(ProjectView):
    content_negotiation_class = AnyMediaType

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request, slug: str, number: int) -> HttpResponse:
        """The end of what the training process wrote."""
        access = self.access(request, slug, READ_DATA)
        log = reads.log_of(reads.one(access.project.pk, number))
        return HttpResponse(log, content_type="text/plain; charset=utf-8")


_ACTIONS: dict[str, Callable[..., TrainingRun]] = {
    "cancel": runs.cancel_run,
    "resume": runs.resume_run,
}


class RunActionView(ProjectView):
    @extend_schema(
        request=None,
        responses=RunDetail,
        parameters=[OpenApiParameter("step", str, OpenApiParameter.PATH, enum=sorted(_ACTIONS))],
    )
    def post(self, request: Request, slug: str, number: int, step: str) -> Response:
        """Stop a run after a checkpoint, or go on with one that failed or was canceled."""
        access = self.access(request, slug, MANAGE)
        verb = _ACTIONS.get(step)
        if verb is None:
            raise NotFound
        run = reads.one(access.project.pk, number)
        verb(run_id=run.pk, actor_id=user_of(request).pk)
        return Response(reads.detail(reads.one(access.project.pk, number)))


def _asked(project_id: int, request: Request) -> dict[str, Any]:
    """The body, with ids for numbers."""
    body = body_of(RunRequest, request)
    return {
        "snapshot_id": id_of(Snapshot, project_id, body["snapshot"], "snapshot"),
        "method": body["method"],
        "preset": body["preset"],
        "values": body["values"],
        "parent_id": adapter_id(project_id, body["parent"], "parent"),
        "parent_use": body["parent_use"],
        "judge_id": adapter_id(project_id, body["judge"], "judge"),
    }


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Invalid(f"{name} must be a whole number.", fields={name: [echo(text)]})
    return int(text)
