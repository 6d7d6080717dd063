"""The single page of the frontend; its script reads the address and shows the rest."""

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

NOT_BUILT = (
    "<!doctype html><title>Prefloop</title><p>The pages have not been built yet. "
    "Run <code>make run</code>, which builds them, or <code>npm run build</code> in frontend/."
)


@require_safe
@ensure_csrf_cookie
def frontend(request: HttpRequest) -> HttpResponse:
    """The built page, never cached, so that a new build is seen at once."""
    html = _page() if not settings.DEBUG else _read()
    response = HttpResponse(html or NOT_BUILT, status=200 if html else 503)
    response["Cache-Control"] = "no-store"
    return response


@lru_cache(maxsize=1)
def _page() -> str:
    return _read()


def _read() -> str:
    page = settings.FRONTEND_DIST / "index.html"
    return page.read_text() if page.is_file() else ""
