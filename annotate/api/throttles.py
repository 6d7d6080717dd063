"""How often somebody may try to sign in; the site's own form and Django's admin count together."""

import unicodedata
from hashlib import sha256

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from annotate.api.errors import of_address

# DRF's throttles look at the request's META only, which Django's own request has as well.
AnyRequest = Request | HttpRequest


class AddressThrottle(SimpleRateThrottle):
    """Sign-ins from one address: many, since a whole office may share one."""

    scope = "sign-in-address"

    def allow_request(self, request: AnyRequest, view: APIView | None) -> bool:
        return request.method != "POST" or bool(super().allow_request(request, view))  # type: ignore[arg-type]

    def get_cache_key(self, request: AnyRequest, view: APIView | None) -> str | None:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}  # type: ignore[arg-type]


class AccountThrottle(AddressThrottle):
    """Sign-ins to one account from one address: few, so that passwords cannot be guessed."""

    scope = "sign-in"

    def __init__(self, username: str) -> None:
        super().__init__()
        # As whoever looks the account up reads it: blanks around it make no other name.
        self.name = unicodedata.normalize("NFKC", username.strip()).casefold()

    def get_cache_key(self, request: AnyRequest, view: APIView | None) -> str | None:
        ident = sha256(f"{self.get_ident(request)} {self.name}".encode()).hexdigest()  # type: ignore[arg-type]
        return self.cache_format % {"scope": self.scope, "ident": ident}


def admin_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Django's sign-in page of the admin, under the same limits as the site's own."""
    name = request.POST.get("username", "")
    for throttle in (AddressThrottle(), AccountThrottle(name)):
        if not throttle.allow_request(request, None):
            message = "Too many attempts to sign in. Wait a minute and try again."
            response = of_address(request.path, 429, "throttled", message, retry=True)
            response["Retry-After"] = str(int(throttle.wait() or 0) + 1)
            return response
    return admin.site.login(request)
