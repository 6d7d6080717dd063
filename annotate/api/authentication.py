"""Who is asking: a browser session or a token."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import connection
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework import authentication
from rest_framework.request import Request

from annotate.errors import OtherSession
from annotate.models import User

# What a tab writes names the user whose work it is, by id: its session may have become another's.
WHOSE = "X-Prefloop-User"

_FIELDS = [field.attname for field in User._meta.concrete_fields]
_COLUMNS = ", ".join(
    connection.ops.quote_name(field.column) for field in User._meta.concrete_fields
)
_BY_ID = f"SELECT {_COLUMNS} FROM {User._meta.db_table} WHERE id = %s"  # noqa: S608  (own names)


class PreparedBackend(ModelBackend):
    """Django's backend, with the one query of every request as a prepared statement.

    The row is not kept between requests: after a change of password, a process with the old one
    would take the new session for a forged one and end it.
    """

    def get_user(self, user_id: Any) -> User | None:
        """The session's user, unless they may not sign in any more."""
        with connection.cursor() as cursor:
            cursor.execute(_BY_ID, [user_id])
            row = cursor.fetchone()
        if row is None:
            return None
        user = User.from_db("default", _FIELDS, row)
        return user if self.user_can_authenticate(user) else None


class SessionAuthentication(authentication.SessionAuthentication):
    """A browser session. Names a challenge, so that nobody signed in is 401 and not 403."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Raises OtherSession for what somebody wrote who is no longer the one signed in."""
        return _own(request, super().authenticate(request))

    def authenticate_header(self, request: Request) -> str:
        return "Session"


class TokenAuthentication(KnoxTokenAuthentication):  # type: ignore[misc]  # it has no types
    """A script's token."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Raises OtherSession for what is said to be somebody else's."""
        return _own(request, super().authenticate(request))


def _own(request: Request, found: tuple[Any, Any] | None) -> tuple[Any, Any] | None:
    """What was found, unless the request names another user. One that names nobody is theirs."""
    whose = request.headers.get(WHOSE, "")
    if found is None or not whose or whose == str(found[0].pk):
        return found
    name = found[0].display_name
    raise OtherSession(
        f"{name} is signed in here now, so this was not done in your name. Sign in again to go on.",
        signed_in=name,
    )
