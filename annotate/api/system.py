"""How the service is doing: for the page's badge, for probes and for admins."""

import threading

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.shapes import Shape
from annotate.api.views import user_of
from annotate.errors import NotFound
from annotate.models import User
from annotate.queries.access import runs_servers
from inference.queries import inference_detail, inference_state

_MAKING = threading.Lock()
_WRITTEN: dict[str, bytes] = {}  # the schema by media type
STATES = ["ready", "loading", "down", "failing"]


class ReplicaState(Shape):
    name = serializers.CharField()
    state = serializers.CharField()
    message = serializers.CharField()


class InferenceState(Shape):
    state = serializers.ChoiceField(choices=STATES)
    message = serializers.CharField()
    replicas = ReplicaState(many=True, required=False)


class Health(Shape):
    status = serializers.ChoiceField(choices=["ok", "degraded"])
    inference = InferenceState()


class ServedName(Shape):
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["base", "adapter"])
    selftest = serializers.ChoiceField(choices=["pending", "passed", "failed"])
    detail = serializers.CharField()


class ReplicaReport(Shape):
    name = serializers.CharField()
    url = serializers.CharField()
    state = serializers.CharField()
    message = serializers.CharField()
    places = serializers.IntegerField(
        allow_null=True, help_text="For adapters; null: the server has not said."
    )
    checked_at = serializers.DateTimeField(allow_null=True)
    served = ServedName(many=True)


class InferenceReport(Shape):
    replicas = ReplicaReport(many=True)


class SchemaView(AskedView, SpectacularAPIView):
    """What the API takes and answers: YAML, or JSON by the Accept header."""

    def _get_schema_response(self, request: Request) -> HttpResponse:
        """Made once for each form: that takes as long as thirty requests of a labeler."""
        renderer = request.accepted_renderer
        with _MAKING:  # what makes it is not made for several threads
            written = _WRITTEN.get(renderer.media_type)
            if written is None:
                made = super()._get_schema_response(request)  # type: ignore[no-untyped-call]
                written = renderer.render(made.data, renderer.media_type, {"response": made})
                _WRITTEN[renderer.media_type] = written
        return HttpResponse(written, content_type=renderer.media_type)


class HealthView(AskedView):
    permission_classes = (AllowAny,)

    @extend_schema(responses=Health)
    def get(self, request: Request) -> Response:
        """Whether everything is there; where the servers are is for those who run them."""
        inference = dict(inference_state())
        user = request.user
        if not (isinstance(user, User) and runs_servers(user)):
            inference.pop("replicas", None)
        status = "ok" if inference["state"] == "ready" else "degraded"
        return Response({"status": status, "inference": inference})


class InferenceView(AskedView):
    @extend_schema(responses=InferenceReport)
    def get(self, request: Request) -> Response:
        """What each replica serves, and why one is not used. For superusers and staff.

        It names addresses, and the models of all projects.
        """
        if not runs_servers(user_of(request)):
            raise NotFound
        return Response(inference_detail())
