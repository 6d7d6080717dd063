"""The answers that a run learned from."""

import math
import re

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.paging import limit_of
from annotate.api.shapes import Message, Shape, page_of
from annotate.api.views import ProjectView
from annotate.errors import Invalid
from annotate.queries.access import READ_DATA
from formats.echo import echo
from training.models import TrainingRun
from training.queries import rollouts as reads
from training.queries import runs
from training.queries.rollouts import ORDERS, After, Order

_CURSOR = re.compile(r"(-?\d{1,20}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?)_(\d{1,18})", re.ASCII)


class RolloutRow(Shape):
    id = serializers.IntegerField()
    step = serializers.IntegerField()
    number = serializers.IntegerField(help_text="Among the answers of the step, from 0.")
    prompt_excerpt = serializers.CharField(help_text="Of the prompt's last message.")
    answer_excerpt = serializers.CharField()
    finished = serializers.BooleanField(help_text="It ended by itself and was not cut off.")
    tokens = serializers.IntegerField()
    reward = serializers.FloatField(help_text="Weighted sum of what the sources gave.")
    score = serializers.FloatField(
        help_text="What the policy learned from: the reward scaled, with penalties."
    )
    kl = serializers.FloatField(help_text="Nats of the whole answer from the reference.")


class SourceReward(Shape):
    name = serializers.CharField()
    adapter = serializers.IntegerField(allow_null=True, help_text="Number of a reward model.")
    weight = serializers.FloatField()
    value = serializers.FloatField(help_text="Before its weight.")


class RolloutDetail(RolloutRow):
    prompt = Message(many=True)
    answer = serializers.CharField()
    rewards = SourceReward(many=True)
    values = serializers.ListField(
        child=serializers.FloatField(),
        help_text="What the critic expected at each token; empty without a critic.",
    )
    shortened = serializers.BooleanField(help_text="Texts or values were longer than these.")


class KeptStep(Shape):
    step = serializers.IntegerField()
    answers = serializers.IntegerField()


class StepSpan(Shape):
    first = serializers.IntegerField()
    last = serializers.IntegerField()


class RolloutLimits(Shape):
    answers = serializers.IntegerField(help_text="Of a run.")
    first = serializers.IntegerField(help_text="Of its first steps.")
    of_step = serializers.IntegerField()


class KeptRollouts(Shape):
    steps = KeptStep(many=True)
    answers = serializers.IntegerField()
    newest = serializers.IntegerField(allow_null=True, help_text="Id; another one: more came.")
    gap = StepSpan(allow_null=True, help_text="Steps whose answers are not kept any more.")
    limits = RolloutLimits()


RolloutPage = page_of("RolloutPage", RolloutRow)


class RolloutsView(ProjectView):
    @extend_schema(
        parameters=[
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int),
            OpenApiParameter("step", int, description="Of this step only."),
            OpenApiParameter("order", str, enum=ORDERS, default=ORDERS[0]),
        ],
        responses=RolloutPage,
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        """What the policy answered while it learned, with rewards."""
        run = _run(self, request, slug, number)
        order = _order(request)
        rows = reads.of_run(run, step=_step(request))
        found, after = reads.page(rows, order, _after(request), limit_of(request))
        following = None if after is None else f"{after.value!r}_{after.pk}"
        return Response({"results": [reads.row(one) for one in found], "next": following})


class KeptRolloutsView(ProjectView):
    @extend_schema(responses=KeptRollouts)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """Of which steps there are answers."""
        return Response(reads.kept(_run(self, request, slug, number)))


class RolloutView(ProjectView):
    @extend_schema(responses=RolloutDetail)
    def get(self, request: Request, slug: str, number: int, rollout: int) -> Response:
        """An answer with its whole conversation, its rewards by source, and the critic's values."""
        run = _run(self, request, slug, number)
        return Response(reads.detail(run, reads.one(run, rollout)))


def _run(view: ProjectView, request: Request, slug: str, number: int) -> TrainingRun:
    return runs.one(view.access(request, slug, READ_DATA).project.pk, number)


def _order(request: Request) -> Order:
    asked = request.query_params.get("order") or ORDERS[0]
    for order in ORDERS:
        if order == asked:
            return order
    raise _invalid("order", f"order must be one of {', '.join(ORDERS)}.", asked)


def _step(request: Request) -> int | None:
    text = request.query_params.get("step", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise _invalid("step", "step must be a whole number.", text)
    return int(text)


def _after(request: Request) -> After | None:
    text = request.query_params.get("cursor", "")
    if not text:
        return None
    found = _CURSOR.fullmatch(text)
    if found is None or not math.isfinite(float(found[1])):
        raise _invalid("cursor", "cursor must be that of an earlier answer.", text)
    return After(float(found[1]), int(found[2]))


def _invalid(field: str, message: str, said: str) -> Invalid:
    return Invalid(message, fields={field: [echo(said)]})
