"""The base of every view: who asks, and the project they ask about."""

from functools import cache
from typing import Any, cast

from rest_framework.request import Request
from rest_framework.serializers import Serializer

from annotate.api.asked import AskedView
from annotate.models import Role, User
from annotate.queries.access import SEE, Access, project_for


def user_of(request: Request) -> User:
    """The signed-in user; views are closed to everybody else by default."""
    return cast(User, request.user)


def body_of(
    serializer: type[Serializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """The validated body. Raises DRF's ValidationError, which names the fields at fault."""
    return cast(dict[str, Any], _kept(serializer, partial).run_validation(request.data))


@cache
def _kept(serializer: type[Serializer[Any]], partial: bool) -> Serializer[Any]:
    """One instance for all requests, which only validates and holds none of their data.

    Making a serializer copies its fields deeply, which took a quarter of a submit's time.
    """
    return serializer(partial=partial)


class ProjectView(AskedView):
    """A view below /api/projects/<slug>/."""

    def access(self, request: Request, slug: str, roles: frozenset[Role] = SEE) -> Access:
        return project_for(user_of(request), slug, roles)
