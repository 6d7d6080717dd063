"""Who is asking: a browser session or a token."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import connection
from rest_framework import authentication
from rest_framework.request import Request

from annotate.models import User

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

    def authenticate_header(self, request: Request) -> str:
        return "Session"
