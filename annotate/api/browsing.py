"""Rankings and comparisons: my own, and a project's."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.held_task import alike_letters
from annotate.api.labeling import Demonstration, UnacceptableMark
from annotate.api.paging import PAGING, page
from annotate.api.projects import Judging
from annotate.api.shapes import Shape, ShownPrompt, page_of
from annotate.api.views import ProjectView, user_of
from annotate.errors import Invalid
from annotate.queries import rankings as reads
from annotate.queries.access import READ_DATA
from annotate.queries.blindness import why_incomplete
from formats.echo import echo

FILTERS = [OpenApiParameter("round", int), OpenApiParameter("labeler", str), *PAGING]


class RankingRow(Shape):
    id = serializers.IntegerField()
    project = serializers.SlugField()
    round = serializers.IntegerField()
    prompt_excerpt = serializers.CharField()
    labeler = serializers.CharField()
    tiers = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    created_at = serializers.DateTimeField()
    revision = serializers.IntegerField()
    current = serializers.BooleanField()
    counted = serializers.BooleanField()
    withdrawn = serializers.BooleanField()
    editable = serializers.BooleanField()


class Provenance(Shape):
    completion = serializers.IntegerField()
    served_model = serializers.CharField()
    adapter_hash = serializers.CharField()
    temperature = serializers.FloatField()
    top_p = serializers.FloatField()
    max_tokens = serializers.IntegerField()
    tokens = serializers.IntegerField()
    logprob_sum = serializers.FloatField(allow_null=True)
    finish_reason = serializers.CharField()
    replica = serializers.CharField()
    latency_ms = serializers.IntegerField()
    chat_template_hash = serializers.CharField()
    created_at = serializers.DateTimeField()


class SeenResponse(Shape):
    label = serializers.CharField()  # type: ignore[assignment]  # the field's own name
    text = serializers.CharField()
    cut_off = serializers.BooleanField()
    provenance = Provenance(allow_null=True)


class RankingDetail(RankingRow):
    claim = serializers.IntegerField()
    prompt = ShownPrompt()
    responses = SeenResponse(many=True)
    judging = Judging(help_text="As it was set when the task was claimed.")
    unacceptable = UnacceptableMark(many=True)
    strengths = serializers.ListField(child=serializers.IntegerField(allow_null=True))
    ratings = serializers.DictField(child=serializers.DictField(child=serializers.FloatField()))
    tags = serializers.ListField(child=serializers.CharField())
    rationale = serializers.CharField()
    active_ms = serializers.IntegerField()
    alike = alike_letters()
    demonstration = Demonstration(allow_null=True)
    supersedes = serializers.IntegerField(allow_null=True)
    superseded_by = serializers.IntegerField(allow_null=True)
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class ComparisonRow(Shape):
    id = serializers.IntegerField()
    ranking = serializers.IntegerField()
    round = serializers.IntegerField()
    labeler = serializers.CharField()
    prompt_excerpt = serializers.CharField()
    chosen_excerpt = serializers.CharField()
    rejected_excerpt = serializers.CharField()
    chosen_unacceptable = serializers.BooleanField()
    rejected_unacceptable = serializers.BooleanField()
    tie = serializers.BooleanField()
    strength = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()


class Incomplete(Shape):
    withheld = serializers.CharField(
        allow_null=True, help_text="Why some are left out for me; null: none are."
    )


class RankingList(page_of("RankingPage", RankingRow), Incomplete):  # type: ignore[misc]
    """A page of a project's rankings."""


class ComparisonList(page_of("ComparisonPage", ComparisonRow), Incomplete):  # type: ignore[misc]
    """A page of a project's comparisons."""


RankingPage = page_of("RankingPage", RankingRow)


class MyRankingsView(AskedView):
    @extend_schema(parameters=[OpenApiParameter("project", str), *PAGING], responses=RankingPage)
    def get(self, request: Request) -> Response:
        """My rankings, newest first."""
        rows = reads.mine(user_of(request))
        if slug := request.query_params.get("project"):
            rows = rows.filter(project__slug=slug)
        return Response(page(request, rows, reads.row))


class RankingDetailView(AskedView):
    @extend_schema(responses=RankingDetail)
    def get(self, request: Request, ranking_id: int) -> Response:
        """What a labeler saw and said."""
        ranking, reviews = reads.seen_by(user_of(request), ranking_id)
        return Response(reads.detail(ranking, with_provenance=reviews))


class RankingsView(ProjectView):
    @extend_schema(parameters=FILTERS, responses=RankingList)
    def get(self, request: Request, slug: str) -> Response:
        """The project's rankings with all their revisions, newest first."""
        access = self.access(request, slug, READ_DATA)
        user = user_of(request)
        rows = reads.of_project(
            access.project,
            user,
            round_number=round_number(request),
            labeler=request.query_params.get("labeler", ""),
        )
        found = page(request, rows, reads.row)
        return Response({**found, "withheld": why_incomplete(user, access.project)})


class ComparisonsView(ProjectView):
    @extend_schema(parameters=[OpenApiParameter("search", str), *FILTERS], responses=ComparisonList)
    def get(self, request: Request, slug: str) -> Response:
        """The project's comparisons, newest first."""
        access = self.access(request, slug, READ_DATA)
        user = user_of(request)
        rows = reads.comparisons(
            access.project,
            user,
            round_number=round_number(request),
            labeler=request.query_params.get("labeler", ""),
            search=request.query_params.get("search", ""),
        )
        found = page(request, rows, reads.comparison_row)
        return Response({**found, "withheld": why_incomplete(user, access.project)})


def round_number(request: Request) -> int | None:
    """`?round=`. Raises Invalid when it is no number."""
    text = request.query_params.get("round", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise Invalid("Give the round as its number.", fields={"round": [echo(text)]})
    return int(text)
