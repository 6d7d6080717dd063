"""Promoting an adapter, rolling back, and what each replica serves."""

from functools import partial

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.paging import page
from annotate.api.shapes import Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.models import Stale
from annotate.queries.access import MANAGE, READ_DATA, runs_servers
from formats.bounds import REASON
from training.api.standing import StandingShape
from training.models import Evaluation, PromotionKind, PromotionState
from training.queries import promotions as reads
from training.queries.named import adapter_id, id_of
from training.queries.standing import standings
from training.services import promotions


class PromotionRow(Shape):
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=PromotionKind.choices)
    adapter = serializers.IntegerField(allow_null=True, help_text="Null: the base.")
    adapter_standing = StandingShape(allow_null=True, help_text="What it is now, not then.")
    previous = serializers.IntegerField(allow_null=True, help_text="Null: the base.")
    evaluation = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=PromotionState.choices)
    attempts = serializers.IntegerField()
    reason = serializers.CharField()
    message = serializers.CharField(help_text="What it waits for, or why it failed.")
    stale = serializers.ChoiceField(choices=Stale.choices)
    stale_tasks = serializers.IntegerField()
    created_by = serializers.CharField(allow_null=True, help_text="Null: the loop.")
    created_at = serializers.DateTimeField()
    flipped_at = serializers.DateTimeField(
        allow_null=True, help_text="Since when requests get the new model; null: not yet."
    )
    finished_at = serializers.DateTimeField(allow_null=True)


class RollBackSpec(Shape):
    reason = serializers.CharField(default="", allow_blank=True, max_length=REASON)
    stale = serializers.ChoiceField(choices=Stale.choices, default=str(Stale.KEEP))


class PromotionSpec(RollBackSpec):
    adapter = serializers.IntegerField(
        allow_null=True, min_value=1, help_text="Its number; null: the base."
    )
    evaluation = serializers.IntegerField(default=None, allow_null=True, min_value=1)


class ServedHere(Shape):
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["base", "adapter"])
    adapter = serializers.IntegerField(
        allow_null=True, help_text="Number of the project's adapter, if it is one of the project."
    )
    standing = StandingShape(allow_null=True)
    role = serializers.ChoiceField(
        choices=["base", "zero", "adapter", "other"],
        help_text="zero: answers for the base beside adapters; adapter: one of the project.",
    )
    selftest = serializers.ChoiceField(choices=["pending", "passed", "failed"])
    detail = serializers.CharField()


class ServingReplica(Shape):
    name = serializers.CharField()
    state = serializers.CharField()
    message = serializers.CharField()
    places = serializers.IntegerField(
        allow_null=True, help_text="For adapters; null: the server has not said."
    )
    taken = serializers.IntegerField()
    free = serializers.IntegerField(allow_null=True)
    served = ServedHere(many=True)


class WayBack(Shape):
    adapter = serializers.IntegerField(allow_null=True, help_text="Null: the base.")


class ServingReport(Shape):
    alias = serializers.CharField()
    current = serializers.IntegerField(allow_null=True, help_text="Null: the base.")
    rolls_back_to = WayBack(allow_null=True)
    promotion = PromotionRow(allow_null=True, help_text="The one that is under way.")
    replicas = ServingReplica(many=True)


PromotionPage = page_of("PromotionPage", PromotionRow)


class PromotionsView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=PromotionPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """What the project's model was, newest first."""
        access = self.access(request, slug, READ_DATA)
        show = partial(reads.row, found=standings(access.project.pk))
        return Response(page(request, reads.of_project(access.project.pk), show))

    @extend_schema(request=PromotionSpec, responses={201: PromotionRow})
    def post(self, request: Request, slug: str) -> Response:
        """Let the project's model be this adapter; a job swaps it in without a restart."""
        access = self.access(request, slug, MANAGE)
        body = body_of(PromotionSpec, request)
        project_id = access.project.pk
        promotion = promotions.promote(
            project_id=project_id,
            actor_id=user_of(request).pk,
            adapter_id=adapter_id(project_id, body["adapter"]),
            evaluation_id=_evaluation_id(project_id, body["evaluation"]),
            reason=body["reason"],
            stale=body["stale"],
        )
        made = reads.one(project_id, promotion.number)
        return Response(reads.row(made, standings(project_id)), status=201)


class RollBackView(ProjectView):
    @extend_schema(request=RollBackSpec, responses={201: PromotionRow})
    def post(self, request: Request, slug: str) -> Response:
        """Let the project's model be what it was before."""
        access = self.access(request, slug, MANAGE)
        body = body_of(RollBackSpec, request)
        promotion = promotions.roll_back(
            project_id=access.project.pk,
            actor_id=user_of(request).pk,
            reason=body["reason"],
            stale=body["stale"],
        )
        made = reads.one(access.project.pk, promotion.number)
        return Response(reads.row(made, standings(access.project.pk)), status=201)


class ServingView(ProjectView):
    @extend_schema(responses=ServingReport)
    def get(self, request: Request, slug: str) -> Response:
        """What the project's model is now, and what each replica serves of the project's."""
        access = self.access(request, slug, READ_DATA)
        addresses = runs_servers(user_of(request))
        return Response(reads.serving(access.project, addresses=addresses))


def _evaluation_id(project_id: int, number: int | None) -> int | None:
    return None if number is None else id_of(Evaluation, project_id, number, "evaluation")
