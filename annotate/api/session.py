"""Signing in and out, and API tokens."""

from typing import Any

from django.contrib.auth import authenticate, login, logout
from django.db.models import QuerySet
from django.middleware.csrf import get_token
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import AskedView
from annotate.api.shapes import Shape
from annotate.api.throttles import AccountThrottle, AddressThrottle
from annotate.api.views import body_of, user_of
from annotate.errors import Conflict, Invalid, NotFound
from annotate.models import User
from annotate.queries.access import may_create_projects
from annotate.services import audit

MAX_TOKENS = 20


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


def _good(user: User) -> QuerySet[AuthToken]:
    tokens: QuerySet[AuthToken] = AuthToken.objects.filter(user=user)
    return tokens.filter(expiry__gt=timezone.now())


class TokensView(AskedView):
    @extend_schema(responses=TokensShape)
    def get(self, request: Request) -> Response:
        """My tokens that are still good."""
        tokens = _good(user_of(request)).order_by("-created")
        return Response(
            {
                "results": [
                    {"id": token.token_key, "created": token.created, "expiry": token.expiry}
                    for token in tokens
                ]
            }
        )

    @extend_schema(request=None, responses={201: NewToken})
    def post(self, request: Request) -> Response:
        """Make a token for scripts; send it as `Authorization: Token …`."""
        user = user_of(request)
        if _good(user).count() >= MAX_TOKENS:
            raise Conflict(
                f"You have {MAX_TOKENS} tokens already. Revoke one of them first.",
                code="too_many_tokens",
            )
        instance, token = AuthToken.objects.create(user=user)
        audit.record(verb="made a token", of=user, project_id=None, actor_id=user.pk)
        return Response({"token": token, "expiry": instance.expiry}, status=201)


class TokenView(AskedView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, key: str) -> Response:
        """Revoke a token."""
        user = user_of(request)
        deleted, _ = AuthToken.objects.filter(user=user, token_key=key).delete()
        if not deleted:
            raise NotFound
        audit.record(verb="revoked a token", of=user, project_id=None, actor_id=user.pk)
        return Response(status=204)
