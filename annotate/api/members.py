"""Who takes part in a project: members, and who was asked to become one."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.shapes import Shape
from annotate.api.views import ProjectView, body_of, user_of
from annotate.models import Membership, Role
from annotate.queries import invitations as asked
from annotate.queries.access import MANAGE
from annotate.services import invitations, projects


class Member(Shape):
    id = serializers.IntegerField()
    username = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    created_at = serializers.DateTimeField()


class Invited(Shape):
    id = serializers.IntegerField()
    username = serializers.CharField(help_text="As it was typed: nobody may have that name.")
    role = serializers.ChoiceField(choices=Role.choices)
    created_at = serializers.DateTimeField()


class Members(Shape):
    results = Member(many=True)
    invited = Invited(many=True)


class NewMember(Shape):
    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)


class Added(Shape):
    member = Member(allow_null=True, help_text="Where a superuser added them.")
    invited = Invited(allow_null=True, help_text="Else: they take part once they accept.")


class MemberRole(Shape):
    role = serializers.ChoiceField(choices=Role.choices)
    base = serializers.ChoiceField(
        choices=Role.choices,
        required=False,
        help_text="The role that was changed; when it is another by now, the change is refused.",
    )


class InvitationShape(Shape):
    id = serializers.IntegerField()
    project = serializers.CharField(help_text="Its name.")
    description = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    invited_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class Invitations(Shape):
    results = InvitationShape(many=True)


class Accepted(Shape):
    slug = serializers.SlugField()


class MembersView(ProjectView):
    @extend_schema(responses=Members)
    def get(self, request: Request, slug: str) -> Response:
        """Who takes part (1000 at most), and who was asked and has not answered."""
        access = self.access(request, slug, MANAGE)
        members = access.project.memberships.select_related("user").order_by("user__username")
        return Response(
            {
                "results": [member_shape(member) for member in members[:1000]],
                "invited": asked.of_project(access.project),
            }
        )

    @extend_schema(request=NewMember, responses={201: Added})
    def post(self, request: Request, slug: str) -> Response:
        """Ask a person to take part. Superusers let them in without asking.

        The answer to an unknown name is the same as to a known one, except to superusers.
        """
        access = self.access(request, slug, MANAGE)
        user, body = user_of(request), body_of(NewMember, request)
        which = {"username": body["username"], "role": Role(body["role"])}
        which |= {"project_id": access.project.pk, "actor_id": user.pk}
        added: dict[str, Any] = {"member": None, "invited": None}
        if user.is_superuser:
            added["member"] = member_shape(projects.add_member(**which))
        else:
            added["invited"] = asked.row(invitations.invite(**which))
        return Response(added, status=201)


class MemberView(ProjectView):
    @extend_schema(request=MemberRole, responses=Member)
    def patch(self, request: Request, slug: str, member_id: int) -> Response:
        """Give a member another role."""
        access = self.access(request, slug, MANAGE)
        body = body_of(MemberRole, request)
        member = projects.change_role(
            project_id=access.project.pk,
            actor_id=user_of(request).pk,
            membership_id=member_id,
            role=Role(body["role"]),
            base=body.get("base"),
        )
        return Response(member_shape(member))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, member_id: int) -> Response:
        """End a person's part; what they ranked stays."""
        access = self.access(request, slug, MANAGE)
        projects.remove_member(
            project_id=access.project.pk, actor_id=user_of(request).pk, membership_id=member_id
        )
        return Response(status=204)


class MyMembershipView(ProjectView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str) -> Response:
        """Leave a project; what I ranked stays. Its last owner or admin cannot."""
        access = self.access(request, slug)
        projects.leave(project_id=access.project.pk, user_id=user_of(request).pk)
        return Response(status=204)


class InvitedView(ProjectView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, invitation_id: int) -> Response:
        """Take an invitation back."""
        access = self.access(request, slug, MANAGE)
        invitations.withdraw(
            project_id=access.project.pk,
            actor_id=user_of(request).pk,
            invitation_id=invitation_id,
        )
        return Response(status=204)


class InvitationsView(AskedView):
    @extend_schema(responses=Invitations)
    def get(self, request: Request) -> Response:
        """The projects that ask me to take part, newest first (100 at most)."""
        return Response({"results": asked.of_user(user_of(request))})


class AcceptView(AskedView):
    @extend_schema(request=None, responses=Accepted)
    def post(self, request: Request, invitation_id: int) -> Response:
        """Take part in the project that asks me."""
        member = invitations.accept(invitation_id=invitation_id, user_id=user_of(request).pk)
        return Response({"slug": member.project.slug})


class DeclineView(AskedView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, invitation_id: int) -> Response:
        """Say no to a project that asks me."""
        invitations.decline(invitation_id=invitation_id, user_id=user_of(request).pk)
        return Response(status=204)


def member_shape(member: Membership) -> dict[str, Any]:
    return {
        "id": member.pk,
        "username": member.user.username,
        "name": member.user.display_name,
        "role": member.role,
        "created_at": member.created_at,
    }
