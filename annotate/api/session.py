"""Signing in and out, and API tokens."""

from typing import Any

from django.contrib.auth import authenticate, login, logout
from django.middleware.csrf import get_token
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.shapes import Shape
from annotate.api.throttles import AccountThrottle, AddressThrottle
from annotate.api.views import body_of, user_of
from annotate.errors import Invalid
from annotate.models import User
from annotate.queries.access import may_create_projects
from annotate.queries.tokens import good_tokens
from annotate.services import tokens


class SessionUser(Shape):
    id = serializers.IntegerField()
    username = serializers.CharField()
    name = serializers.CharField()
    is_staff = serializers.BooleanField()
    may_create_projects = serializers.BooleanField()


class SessionShape(Shape):
    user = SessionUser(allow_null=True)
    csrf_token = serializers.CharField()


class SignIn(Shape):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=512, trim_whitespace=False)


class SessionView(AskedView):
    permission_classes = (AllowAny,)
    throttle_classes = (AddressThrottle,)

    @extend_schema(responses=SessionShape)
    def get(self, request: Request) -> Response:
        """Who is signed in; sets the CSRF cookie."""
        return Response(self._session(request))

    @extend_schema(request=SignIn, responses=SessionShape)
    def post(self, request: Request) -> Response:
        """Sign in."""
        body = body_of(SignIn, request)
        account = AccountThrottle(body["username"])
        if not account.allow_request(request, self):
            self.throttled(request, account.wait() or 1)
        user = authenticate(request._request, **body)
        if user is None:
            raise Invalid(
                "This user name and password do not match. Check both and try again.",
                code="wrong_credentials",
            )
        login(request._request, user)
        request.user = user
        return Response(self._session(request))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out."""
        logout(request._request)
        return Response(status=204)

    def _session(self, request: Request) -> dict[str, Any]:
        user = request.user
        return {
            "user": {
                "id": user.pk,
                "username": user.username,
                "name": user.display_name,
                "is_staff": user.is_staff,
                "may_create_projects": may_create_projects(user),
            }
            if isinstance(user, User)
            else None,
            "csrf_token": get_token(request._request),
        }


class NewToken(Shape):
    token = serializers.CharField(help_text="Shown this once.")
    expiry = serializers.DateTimeField()


class TokenRow(Shape):
    id = serializers.CharField(help_text="The token's first characters.")
    created = serializers.DateTimeField()
    expiry = serializers.DateTimeField()


class TokensShape(Shape):
    results = TokenRow(many=True)


class TokensView(AskedView):
    @extend_schema(responses=TokensShape)
    def get(self, request: Request) -> Response:
        """My tokens that are still good."""
        found = good_tokens(user_of(request)).order_by("-created")
        return Response(
            {
                "results": [
                    {"id": token.token_key, "created": token.created, "expiry": token.expiry}
                    for token in found
                ]
            }
        )

    @extend_schema(request=None, responses={201: NewToken})
    def post(self, request: Request) -> Response:
        """Make a token for scripts; send it as `Authorization: Token …`."""
        token, expiry = tokens.make_token(user=user_of(request))
        return Response({"token": token, "expiry": expiry}, status=201)


class TokenView(AskedView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, key: str) -> Response:
        """Revoke a token."""
        tokens.revoke_token(user=user_of(request), key=key)
        return Response(status=204)
