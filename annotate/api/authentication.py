"""Who is asking: a browser session or a token."""

import logging
from copy import copy
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.db import connection
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from annotate.errors import Forbidden, OtherSession
from annotate.models import User

log = logging.getLogger(__name__)

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

    def enforce_csrf(self, request: Request) -> None:
        """Raises Forbidden for a page that was not loaded from this site, or long ago."""
        # The token comes in a header: Django would first read the whole body for one in a form.
        without_form = copy(request._request)
        without_form.method = "PUT" if request.method == "POST" else request.method
        try:
            super().enforce_csrf(without_form)  # type: ignore[arg-type]  # its checks are Django's
        except exceptions.PermissionDenied as refused:
            origin = request.headers.get("Origin", "")
            if not origin or origin not in str(refused.detail):
                raise
            _log_foreign(request, origin)
            raise Forbidden(
                f"This page was loaded from {origin}, which the server does not know as its own "
                "address. Open the site under its usual address; or whoever runs it adds that "
                "origin to TRUSTED_ORIGINS.",
                code="csrf_failed",
                retry=True,
            ) from None

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


def _log_foreign(request: Request, origin: str) -> None:
    log.warning(
        "%s %s was refused: it came from the origin %s, but the web server was called as %s, and "
        "TRUSTED_ORIGINS is %s. Where both are this site, let the proxy pass on Host and "
        "X-Forwarded-Proto (HTTPS), or add the origin to TRUSTED_ORIGINS.",
        request.method,
        request.path,
        origin[:200],
        f"{request.scheme}://{request.get_host()}",
        ",".join(settings.CSRF_TRUSTED_ORIGINS) or "empty",
    )


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
