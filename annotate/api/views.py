"""The base of every view: who asks, and the project they ask about."""

from typing import Any, TypeVar, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from annotate.models import Role, User
from annotate.queries.access import SEE, Access, project_for

S = TypeVar("S", bound=serializers.Serializer[Any])


def user_of(request: Request) -> User:
    """The signed-in user; views are closed to everybody else by default."""
    return cast(User, request.user)


def body_of(serializer: type[S], request: Request, *, partial: bool = False) -> dict[str, Any]:
    """The validated body. Raises DRF's ValidationError, which names the fields at fault."""
    checked = serializer(data=request.data, partial=partial)
    checked.is_valid(raise_exception=True)
    return cast(dict[str, Any], checked.validated_data)


class ProjectView(APIView):
    """A view below /api/projects/<slug>/."""

    def access(self, request: Request, slug: str, roles: frozenset[Role] = SEE) -> Access:
        return project_for(user_of(request), slug, roles)
