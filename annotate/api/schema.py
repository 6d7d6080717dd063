"""How the OpenAPI schema names things."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from annotate.api.authentication import WHOSE
from annotate.api.shapes import Failure

_WHOSE = OpenApiParameter(
    WHOSE,
    int,
    OpenApiParameter.HEADER,
    description="Id of the user whose work this is; somebody else's session refuses it with "
    "409 `other_session`. Not given: the session's user.",
)


class NamedOperations(AutoSchema):
    """Operations are named after their view: GET of ProjectsView is getProjects."""

    def get_operation_id(self) -> str:
        name = type(self.view).__name__.removesuffix("View")
        return f"{self.method.lower()}{name}"

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        """What any address may be refused with stands at each of them."""
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for code in ("4XX", "5XX"):
            made: Any = self._get_response_for_code
            bodies[code] = made(Failure, code, ["application/json"])
        return bodies

    def get_override_parameters(self) -> list[Any]:
        """What writes may say whose work it is."""
        return [] if self.method == "GET" else [_WHOSE]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "annotate.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "annotate.api.authentication.TokenAuthentication"
    name = "knoxApiToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        prefix = 'Token-based authentication with required prefix "Token"'
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": prefix}
