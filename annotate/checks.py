"""Start-up checks: what is wrong is said before the first request, not in it."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register()
def frontend_is_built(**_: Any) -> list[CheckMessage]:
    if (settings.FRONTEND_DIST / "index.html").is_file():
        return []
    return [
        Warning(
            "The pages have not been built.",
            hint="Run `make run`, or `npm run build` in frontend/.",
            id="annotate.W001",
        )
    ]
