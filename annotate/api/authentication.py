"""Who is asking: a browser session or a token."""

import time
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
KEPT_FOR_S = 2.0
MOST_KEPT = 10_000
_rows: dict[int, tuple[float, tuple[Any, ...]]] = {}
_BY_ID = f"SELECT {_COLUMNS} FROM {User._meta.db_table} WHERE id = %s"  # noqa: S608  (own names)


class PreparedBackend(ModelBackend):
    """Django's backend, with the query of every request prepared and its answer kept for a moment.

    A labeler at work sends several requests a second. Whoever is deactivated or changes their
    password is signed out everywhere within KEPT_FOR_S.
    """

    def get_user(self, user_id: Any) -> User | None:
        """The session's user, unless they may not sign in any more."""
        row = _kept_row(user_id)
        if row is None:
            return None
        user = User.from_db("default", _FIELDS, row)
        return user if self.user_can_authenticate(user) else None


def _kept_row(user_id: int) -> tuple[Any, ...] | None:
    now = time.monotonic()
    kept = _rows.get(user_id)
    if kept is not None and now - kept[0] < KEPT_FOR_S:
        return kept[1]
    with connection.cursor() as cursor:
        cursor.execute(_BY_ID, [user_id])
        row: tuple[Any, ...] | None = cursor.fetchone()
    if row is not None:
        if len(_rows) >= MOST_KEPT:
            _rows.clear()
        _rows[user_id] = (now, row)
    return row


class SessionAuthentication(authentication.SessionAuthentication):
    """A browser session. Names a challenge, so that nobody signed in is 401 and not 403."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"
