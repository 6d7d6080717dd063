"""Where models come from, what learned from whom, and how to be without it."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.browsing import round_number
from annotate.api.paging import page
from annotate.api.shapes import Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.errors import Invalid, NotFound
from annotate.queries.access import MANAGE, READ_DATA
from annotate.services import retractions
from formats.bounds import WHY_RETRACTED
from training.api.standing import StandingShape
from training.models import RunState, SnapshotState
from training.queries import lineage as reads
from training.queries import rebuilds, snapshots, touched
from training.services.rebuilding import rebuild_adapter

WAYS = ["snapshot", "parent", "judge"]


class LineageNode(Shape):
    id = serializers.CharField(help_text="Kind and number, or name: adapter-3, labeler-lena.")
    kind = serializers.ChoiceField(choices=reads.KINDS)
    number = serializers.IntegerField(allow_null=True)
    title = serializers.CharField()
    detail = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    standing = StandingShape(allow_null=True, help_text="Of an adapter.")


# "from" is a keyword, so it cannot be written as an attribute.
LineageEdge: type[Shape] = type(
    "LineageEdge",
    (serializers.Serializer,),
    {
        "from": serializers.CharField(),
        "to": serializers.CharField(),
        "count": serializers.IntegerField(
            allow_null=True, help_text="Answers that a model wrote, or rankings in a snapshot."
        ),
        "__doc__": "From cause to effect.",
    },
)


class Lineage(Shape):
    nodes = LineageNode(many=True)
    edges = LineageEdge(many=True)
    latest = serializers.IntegerField(help_text="How many of each kind are shown at most.")


class TouchedSnapshot(Shape):
    number = serializers.IntegerField()
    rankings = serializers.IntegerField(help_text="How many of theirs it holds.")


class TouchedRun(Shape):
    number = serializers.IntegerField()
    method = serializers.CharField()
    state = serializers.ChoiceField(choices=RunState.choices)
    snapshot = serializers.IntegerField()
    because = serializers.ChoiceField(
        choices=WAYS, help_text="Its snapshot holds theirs, or its parent or judge learned from it."
    )


class TouchedAdapter(Shape):
    number = serializers.IntegerField()
    run = serializers.IntegerField()
    snapshot = serializers.IntegerField()
    method = serializers.CharField()
    because = serializers.ChoiceField(choices=WAYS)
    standing = StandingShape()
    promotions = serializers.ListField(child=serializers.IntegerField())


class TouchedShape(Shape):
    rankings = serializers.IntegerField(help_text="Current ones of theirs, in snapshots or not.")
    snapshots = TouchedSnapshot(many=True)
    runs = TouchedRun(many=True)
    adapters = TouchedAdapter(many=True)


class RebuildRequest(Shape):
    adapter = serializers.IntegerField(min_value=1)
    exclude_labelers = serializers.ListField(
        child=serializers.CharField(max_length=150), default=list, max_length=1000
    )
    exclude_rounds = serializers.ListField(
        child=serializers.IntegerField(min_value=1), default=list, max_length=1000
    )


class RebuildRow(Shape):
    id = serializers.IntegerField()
    adapter = serializers.IntegerField(help_text="The one that is trained again.")
    snapshot = serializers.IntegerField()
    snapshot_state = serializers.ChoiceField(choices=SnapshotState.choices)
    run = serializers.IntegerField(
        allow_null=True, help_text="Null until the snapshot is ready, then a job creates the run."
    )
    run_state = serializers.ChoiceField(choices=RunState.choices, allow_null=True)
    made = serializers.IntegerField(allow_null=True, help_text="The new adapter.")
    message = serializers.CharField(help_text="Why there will be no run.")
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


RebuildPage = page_of("RebuildPage", RebuildRow)


class RetractionRequest(Shape):
    labeler = serializers.CharField(max_length=150, default=None, allow_null=True)
    round = serializers.IntegerField(min_value=1, default=None, allow_null=True)
    reason = serializers.CharField(max_length=WHY_RETRACTED)


class Retraction(Shape):
    rankings = serializers.IntegerField(help_text="How many were withdrawn.")
    touched = TouchedShape()


class LineageView(ProjectView):
    @extend_schema(parameters=[OpenApiParameter("node", str)], responses=Lineage)
    def get(self, request: Request, slug: str) -> Response:
        """Models, rounds, labelers, snapshots, runs and promotions, from cause to effect.

        With `node` only what that one came from and what became of it.
        """
        access = self.access(request, slug, READ_DATA)
        node = request.query_params.get("node", "")
        return Response(reads.lineage(access.project.pk, node=node))


class TouchedView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("labeler", str), OpenApiParameter("round", int)],
        responses=TouchedShape,
    )
    def get(self, request: Request, slug: str) -> Response:
        """All that learned from a labeler or from a round."""
        access = self.access(request, slug, READ_DATA)
        labeler, number = request.query_params.get("labeler", ""), round_number(request)
        if not labeler and number is None:
            raise Invalid("Name a labeler or a round.", fields={"labeler": ["Missing."]})
        return Response(_touched(access.project.pk, labeler, number))


class RebuildsView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=RebuildPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's rebuilds, newest first."""
        access = self.access(request, slug, READ_DATA)
        return Response(page(request, rebuilds.of_project(access.project.pk), rebuilds.row))

    @extend_schema(request=RebuildRequest, responses={201: RebuildRow})
    def post(self, request: Request, slug: str) -> Response:
        """Train an adapter again without some labelers or rounds."""
        access = self.access(request, slug, MANAGE)
        body = body_of(RebuildRequest, request)
        project_id = access.project.pk
        known = _labelers(project_id, body["exclude_labelers"], "exclude_labelers")
        rebuild = rebuild_adapter(
            project_id=project_id,
            actor_id=user_of(request).pk,
            adapter_id=rebuilds.adapter_id(project_id, body["adapter"]),
            labelers=list(known.values()),
            rounds=body["exclude_rounds"],
        )
        return Response(rebuilds.row(rebuild), status=201)


class RetractionsView(ProjectView):
    @extend_schema(request=RetractionRequest, responses={201: Retraction})
    def post(self, request: Request, slug: str) -> Response:
        """Withdraw all rankings of a labeler or of a closed round; says what learned from them."""
        access = self.access(request, slug, MANAGE)
        body = body_of(RetractionRequest, request)
        labeler, number = body["labeler"], body["round"]
        if (labeler is None) == (number is None):
            message = "Name either a labeler or a round."
            raise Invalid(message, fields={"labeler": [message]})
        shared = {
            "project_id": access.project.pk,
            "actor_id": user_of(request).pk,
            "reason": body["reason"],
        }
        if labeler is not None:
            known = _labelers(access.project.pk, [labeler], "labeler")
            count = retractions.retract_labeler(labeler_id=known[labeler], **shared)
        else:
            count = retractions.retract_round(number=number, **shared)
        return Response(
            {"rankings": count, "touched": _touched(access.project.pk, labeler, number)}, status=201
        )


def _touched(project_id: int, labeler: str | None, number: int | None) -> dict[str, Any]:
    people = snapshots.labelers_named(project_id, [labeler]) if labeler else {}
    if labeler and not people:
        raise NotFound
    found = touched.learned_from(
        project_id,
        labelers=list(people.values()),
        rounds=[] if number is None else [number],
    )
    return touched.described(project_id, found)


def _labelers(project_id: int, usernames: list[str], field: str) -> dict[str, int]:
    """Raises Invalid, which names the field, for who ranked nothing in the project."""
    known = snapshots.labelers_named(project_id, usernames)
    if unknown := sorted(set(usernames) - known.keys()):
        message = f"“{unknown[0]}” has ranked nothing here. Choose among those who have."
        raise Invalid(message, fields={field: [message]})
    return known
