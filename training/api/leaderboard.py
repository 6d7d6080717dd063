"""The models of a project by what people preferred."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.shapes import Shape
from annotate.api.views import ProjectView
from annotate.queries.access import READ_DATA
from training.queries import leaderboard as reads


class LeaderboardRow(Shape):
    model = serializers.CharField(help_text="Served name.")
    adapter = serializers.IntegerField(
        allow_null=True, help_text="Number of the project's adapter; null for a base."
    )
    adapter_hash = serializers.CharField(help_text="Empty for a base.")
    anchor = serializers.BooleanField(help_text="The base: its rating is 1000 by definition.")
    rating = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    comparisons = serializers.IntegerField()
    wins = serializers.IntegerField()
    ties = serializers.IntegerField()
    losses = serializers.IntegerField()


class Leaderboard(Shape):
    models = LeaderboardRow(many=True)
    comparisons = serializers.IntegerField(help_text="Between different models, ties included.")
    tasks = serializers.IntegerField()
    left_out = serializers.IntegerField(help_text="Models that are not shown: compared least.")
    resamples = serializers.IntegerField()
    method = serializers.CharField()


class LeaderboardView(ProjectView):
    @extend_schema(responses=Leaderboard)
    def get(self, request: Request, slug: str) -> Response:
        """The project's models, best first, by everything people ranked."""
        access = self.access(request, slug, READ_DATA)
        return Response(reads.leaderboard(access.project.pk))
