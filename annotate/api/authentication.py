"""Who is asking: a browser session or a token."""

from rest_framework import authentication
from rest_framework.request import Request


class SessionAuthentication(authentication.SessionAuthentication):
    """A browser session. Names a challenge, so that nobody signed in is 401 and not 403."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"
