"""Rounds: estimate, create, trigger, watch, pause, end."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.paging import cursor_of, limit_of
from annotate.api.shapes import Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.errors import NotFound
from annotate.models import Round, RoundState, Split
from annotate.queries import rounds as reads
from annotate.queries.access import MANAGE, REVIEW
from annotate.queries.current_model import models_of
from annotate.queries.estimates import estimate
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from formats.bounds import MAX_TOKENS, OVERLAP, SOURCES, TAG, TEMPERATURE, TOP_P, WEIGHT, K


class PromptChoice(Shape):
    tag = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=TAG)
    search = serializers.CharField(required=False, allow_blank=True, max_length=200)
    sample = serializers.IntegerField(required=False, allow_null=True, min_value=1)
    split = serializers.ChoiceField(
        choices=Split.choices, required=False, allow_null=True, default="train"
    )


class SourceSpec(Shape):
    served_model = serializers.IntegerField(required=False, help_text="Unless it follows.")
    follows = serializers.BooleanField(
        default=False, help_text="Whatever the project's model is, also when that changes."
    )
    weight = serializers.IntegerField(default=1, min_value=WEIGHT.least, max_value=WEIGHT.most)
    temperature = serializers.FloatField(
        default=0.8, min_value=TEMPERATURE.least, max_value=TEMPERATURE.most
    )
    top_p = serializers.FloatField(default=0.95, min_value=TOP_P.least, max_value=TOP_P.most)
    max_tokens = serializers.IntegerField(
        default=256, min_value=MAX_TOKENS.least, max_value=MAX_TOKENS.most
    )


class RoundSpec(Shape):
    prompts = PromptChoice(required=False)
    k = serializers.IntegerField(required=False, min_value=K.least, max_value=K.most)
    overlap = serializers.IntegerField(
        required=False, min_value=OVERLAP.least, max_value=OVERLAP.most
    )
    sources = serializers.ListField(child=SourceSpec(), max_length=SOURCES.most)
    start = serializers.BooleanField(default=False)


class RoundEstimate(Shape):
    prompts = serializers.IntegerField()
    completions = serializers.IntegerField()
    rankings = serializers.IntegerField()
    tokens = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    generation_seconds = serializers.IntegerField()
    labeler_hours = serializers.FloatField()
    warnings = serializers.ListField(child=serializers.CharField())


class RoundSourceShape(SourceSpec):
    served_model = serializers.IntegerField(help_text="What it is now, if it follows.")
    name = serializers.CharField()


class Generation(Shape):
    tasks = serializers.IntegerField()
    ready = serializers.IntegerField()
    failed = serializers.IntegerField()
    stale = serializers.IntegerField(help_text="Written by what the project's model was before.")
    completions = serializers.IntegerField()
    completions_total = serializers.IntegerField()
    tokens = serializers.IntegerField()
    tokens_per_s = serializers.FloatField(allow_null=True)
    eta_s = serializers.IntegerField(allow_null=True)
    waiting = serializers.CharField(allow_null=True)


class Labeling(Shape):
    required = serializers.IntegerField()  # type: ignore[assignment]  # the field's own name
    done = serializers.IntegerField()
    extra = serializers.IntegerField()
    claimed = serializers.IntegerField()
    per_hour = serializers.FloatField(
        allow_null=True,
        help_text="Rankings in an hour of one labeler's attention; null: too few to tell.",
    )
    work_left_s = serializers.IntegerField(
        allow_null=True, help_text="Attention that the rest takes at that pace, of all together."
    )


class RoundRow(Shape):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=RoundState.choices)
    paused = serializers.BooleanField()
    k = serializers.IntegerField()
    overlap = serializers.IntegerField()
    message = serializers.CharField()
    sources = RoundSourceShape(many=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    prompts = serializers.IntegerField()
    generation = Generation()
    labeling = Labeling()


class RoundLabeler(Shape):
    username = serializers.CharField()
    rankings = serializers.IntegerField()
    median_active_s = serializers.FloatField(allow_null=True)
    skips = serializers.IntegerField()
    flags = serializers.IntegerField()


class RoundFlag(Shape):
    task = serializers.IntegerField()
    kind = serializers.CharField()
    note = serializers.CharField()
    labeler = serializers.CharField()
    created_at = serializers.DateTimeField()
    prompt_excerpt = serializers.CharField()


class RoundFailure(Shape):
    task = serializers.IntegerField()
    reason = serializers.CharField()
    prompt_excerpt = serializers.CharField()


class RoundMonitor(RoundRow):
    labelers = RoundLabeler(many=True)
    flags = RoundFlag(many=True)
    failures = RoundFailure(many=True)


class AvailableModel(Shape):
    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["current", "base", "adapter"])
    means = serializers.CharField(
        allow_blank=True,
        help_text="Of the kind `current`: the name that the project's model is now.",
    )
    available = serializers.BooleanField()
    message = serializers.CharField()


class AvailableModels(Shape):
    results = AvailableModel(many=True)


RoundPage = page_of("RoundPage", RoundRow)


class ModelsView(ProjectView):
    @extend_schema(responses=AvailableModels)
    def get(self, request: Request, slug: str) -> Response:
        """The models that a round may ask: first whatever the project's model is, then each."""
        access = self.access(request, slug, REVIEW)
        return Response({"results": models_of(access.project)})


class EstimateView(ProjectView):
    @extend_schema(request=RoundSpec, responses=RoundEstimate)
    def post(self, request: Request, slug: str) -> Response:
        """What a round would take, before it exists."""
        access = self.access(request, slug, MANAGE)
        spec = body_of(RoundSpec, request)
        return Response(
            estimate(
                access.project.pk,
                _filter(spec),
                k=spec.get("k", access.project.k_default),
                overlap=spec.get("overlap", access.project.overlap),
                sources=spec["sources"],
            )
        )


class RoundsView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=RoundPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's rounds, newest first."""
        access = self.access(request, slug, REVIEW)
        limit, after = min(limit_of(request), 20), cursor_of(request)
        rows = reads.of_project(access.project.pk)
        if after is not None:
            rows = rows.filter(number__lt=after)
        found = list(rows[: limit + 1])
        following = str(found[limit - 1].number) if len(found) > limit else None
        return Response({"results": [reads.row(each) for each in found[:limit]], "next": following})

    @extend_schema(request=RoundSpec, responses={201: RoundMonitor})
    def post(self, request: Request, slug: str) -> Response:
        """Create a round, and start it when `start` is true."""
        access = self.access(request, slug, MANAGE)
        spec = body_of(RoundSpec, request)
        actor_id = user_of(request).pk
        round_ = rounds.create_round(
            project_id=access.project.pk,
            actor_id=actor_id,
            prompts=_filter(spec),
            k=spec.get("k", access.project.k_default),
            overlap=spec.get("overlap", access.project.overlap),
            sources=[
                rounds.Source(
                    served_model_id=source.get("served_model"),
                    follows=source["follows"],
                    weight=source["weight"],
                    temperature=source["temperature"],
                    top_p=source["top_p"],
                    max_tokens=source["max_tokens"],
                )
                for source in spec["sources"]
            ],
        )
        if spec["start"]:
            rounds.start_round(round_id=round_.pk, actor_id=actor_id)
        return Response(reads.monitor(reads.one(access.project.pk, round_.number)), status=201)


class RoundView(ProjectView):
    @extend_schema(responses=RoundMonitor)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """All that there is to watch in a round."""
        access = self.access(request, slug, REVIEW)
        return Response(reads.monitor(reads.one(access.project.pk, number)))


_ACTIONS: dict[str, Callable[..., Round]] = {
    "start": rounds.start_round,
    "pause": rounds.pause_round,
    "resume": rounds.resume_round,
    "cancel": rounds.cancel_round,
    "close": rounds.close_round,
    "retry": rounds.retry_round,
}


class RoundActionView(ProjectView):
    @extend_schema(
        request=None,
        responses=RoundMonitor,
        parameters=[
            OpenApiParameter("action", str, OpenApiParameter.PATH, enum=sorted(_ACTIONS)),
        ],
    )
    def post(self, request: Request, slug: str, number: int, action: str) -> Response:
        """Start, pause, resume, cancel, close or retry a round; a second click changes nothing."""
        access = self.access(request, slug, MANAGE)
        verb = _ACTIONS.get(action)
        if verb is None:
            raise NotFound
        round_ = reads.one(access.project.pk, number)
        verb(round_id=round_.pk, actor_id=user_of(request).pk)
        return Response(reads.monitor(reads.one(access.project.pk, number)))


def _filter(spec: dict[str, Any]) -> PromptFilter:
    chosen = spec.get("prompts") or {}
    return PromptFilter(
        tag=chosen.get("tag") or None,
        search=chosen.get("search", ""),
        split=chosen.get("split", "train"),
        sample=chosen.get("sample"),
    )
