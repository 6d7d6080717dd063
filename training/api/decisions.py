"""What waits for me to decide, whichever project it is in."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.shapes import ProjectName, Shape
from annotate.api.views import user_of
from training.queries.decisions import waiting_for


class Decision(Shape):
    project = ProjectName()
    step = serializers.IntegerField(help_text="Of the loop; it waits for approve or reject.")
    adapter = serializers.IntegerField(help_text="The candidate.")


class Decisions(Shape):
    results = Decision(many=True)


class DecisionsView(AskedView):
    @extend_schema(responses=Decisions)
    def get(self, request: Request) -> Response:
        """The candidates that wait for me to approve or reject them."""
        return Response({"results": waiting_for(user_of(request))})
