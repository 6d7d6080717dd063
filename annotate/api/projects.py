"""Projects, their settings and their members."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.paging import PAGING, page
from annotate.api.shapes import Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.errors import Forbidden
from annotate.models import AuditEvent, Rationale, Role
from annotate.queries import projects as reads
from annotate.queries.access import MANAGE, Access, may_create_projects
from annotate.queries.audit import events_of
from annotate.services import projects
from formats.bounds import OVERLAP, K

MAY_NOT_CREATE = (
    "Your account may not create projects. Ask whoever runs this Prefloop for the right to."
)


class Axis(Shape):
    key = serializers.SlugField(max_length=40)
    name = serializers.CharField(max_length=60)
    min = serializers.IntegerField(min_value=-100, max_value=100)
    max = serializers.IntegerField(min_value=-100, max_value=100)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # A PATCH may leave out settings, but not parts of an axis.
        if missing := {"key", "name", "min", "max"} - attrs.keys():
            raise serializers.ValidationError(
                {name: ["It is required."] for name in sorted(missing)}
            )
        if attrs["min"] >= attrs["max"]:
            raise serializers.ValidationError("The lowest rating must be below the highest.")
        return attrs


class Judging(Shape):
    k_default = serializers.IntegerField()
    ties_allowed = serializers.BooleanField()
    strength = serializers.BooleanField()
    axes = Axis(many=True)
    tags = serializers.ListField(child=serializers.CharField())
    rationale = serializers.ChoiceField(choices=Rationale.choices)
    write_better = serializers.BooleanField()


class Counts(Shape):
    prompts = serializers.IntegerField()
    rounds = serializers.IntegerField()
    members = serializers.IntegerField()
    rankings = serializers.IntegerField()
    comparisons = serializers.IntegerField()


class ProjectDetail(Shape):
    slug = serializers.SlugField()
    name = serializers.CharField()
    description = serializers.CharField()
    guidelines = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    judging = Judging()
    overlap = serializers.IntegerField()
    lease_seconds = serializers.IntegerField()
    version = serializers.CharField(help_text="Of the settings.")
    counts = Counts()


class ProjectRow(Shape):
    slug = serializers.SlugField()
    name = serializers.CharField()
    description = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)


class Projects(Shape):
    results = ProjectRow(many=True)


class ProjectSettings(Shape):
    """The judging settings stand beside the others here."""

    name = serializers.CharField(max_length=120)
    description = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    guidelines = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    k_default = serializers.IntegerField(required=False, min_value=K.least, max_value=K.most)
    ties_allowed = serializers.BooleanField(required=False)
    strength = serializers.BooleanField(required=False)
    axes = Axis(many=True, required=False)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=50
    )
    rationale = serializers.ChoiceField(choices=Rationale.choices, required=False)
    write_better = serializers.BooleanField(required=False)
    overlap = serializers.IntegerField(
        required=False, min_value=OVERLAP.least, max_value=OVERLAP.most
    )
    lease_seconds = serializers.IntegerField(required=False, min_value=30, max_value=86_400)


class ChangedSettings(ProjectSettings):
    base = serializers.CharField(
        required=False,
        max_length=16,
        help_text="The version that was edited; not given: the newest. Another one is refused.",
    )


class NewProject(ProjectSettings):
    slug = serializers.SlugField(required=False, max_length=60)


class AuditRow(Shape):
    id = serializers.IntegerField()
    actor = serializers.CharField(allow_null=True)
    verb = serializers.CharField()
    object = serializers.CharField()
    at = serializers.DateTimeField()
    detail = serializers.DictField()


AuditPage = page_of("AuditPage", AuditRow)


class ProjectsView(AskedView):
    @extend_schema(responses=Projects)
    def get(self, request: Request) -> Response:
        """My projects."""
        return Response({"results": reads.of_member(user_of(request))})

    @extend_schema(request=NewProject, responses={201: ProjectDetail})
    def post(self, request: Request) -> Response:
        """Create a project; its creator owns it. For those who have the right to."""
        if not may_create_projects(user_of(request)):
            raise Forbidden(MAY_NOT_CREATE, code="may_not_create_projects")
        body = body_of(NewProject, request)
        project = projects.create_project(actor_id=user_of(request).pk, **body)
        return Response(reads.detail(Access(project, Role.OWNER)), status=201)


class ProjectDetailView(ProjectView):
    @extend_schema(responses=ProjectDetail)
    def get(self, request: Request, slug: str) -> Response:
        """A project that I take part in."""
        return Response(reads.detail(self.access(request, slug)))

    @extend_schema(request=ChangedSettings, responses=ProjectDetail)
    def patch(self, request: Request, slug: str) -> Response:
        """Change settings; what is left out stays."""
        access = self.access(request, slug, MANAGE)
        body = body_of(ChangedSettings, request, partial=True)
        project = projects.update_project(
            project_id=access.project.pk, actor_id=user_of(request).pk, **body
        )
        return Response(reads.detail(Access(project, access.role)))


class AuditView(ProjectView):
    @extend_schema(parameters=PAGING, responses=AuditPage)
    def get(self, request: Request, slug: str) -> Response:
        """Who did what, newest first."""
        access = self.access(request, slug, MANAGE)
        return Response(page(request, events_of(access.project.pk), _audit_row))


def _audit_row(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": event.pk,
        "actor": event.actor.username if event.actor else None,
        "verb": event.verb,
        "object": f"{event.object_type} {event.object_id}",
        "at": event.at,
        "detail": event.detail,
    }
