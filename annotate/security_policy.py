"""The Content-Security-Policy header, worked out once instead of in every request.

Nothing that a model or a person writes can run: scripts and styles come from our own files only,
and Trusted Types keep strings from becoming markup unsanitized. Django's admin brings inline
scripts and an evaluating library; it shows untrusted text escaped, and has a looser policy.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"
_BASE = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


def _written(directives: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in directives.items())


SITE_POLICY = _written(
    {
        **_BASE,
        "require-trusted-types-for": "'script'",
        "trusted-types": "svelte-trusted-html dompurify",  # who may make markup of a string
    }
)
ADMIN_POLICY = _written(
    {
        **_BASE,
        "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
    }
)


def security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that adds the header to every response, and keeps the API's out of caches."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.path_info.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        admin = request.path_info.startswith("/admin/")
        response.headers[HEADER] = ADMIN_POLICY if admin else SITE_POLICY
        return response

    return middleware
