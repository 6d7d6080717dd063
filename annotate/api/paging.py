"""Keyset paging by descending id: every page costs the same, however far down it is."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from annotate.errors import Invalid
from formats.echo import echo

M = TypeVar("M", bound=Model)
DEFAULT_LIMIT, MAX_LIMIT = 50, 100
PAGING = [OpenApiParameter("cursor", str), OpenApiParameter("limit", int)]


def limit_of(request: Request) -> int:
    """`?limit=`, between 1 and 100."""
    return max(1, min(_number(request, "limit", DEFAULT_LIMIT), MAX_LIMIT))


def cursor_of(request: Request) -> int | None:
    """`?cursor=`: the id after which the page begins."""
    return _number(request, "cursor", 0) or None


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid(
            f"{name} must be a number from an earlier answer.", fields={name: [echo(text)]}
        )
    return int(text)


def page(
    request: Request, rows: QuerySet[M], show: Callable[[M], dict[str, Any]]
) -> dict[str, Any]:
    """{"results", "next"} of a queryset, newest first."""
    limit = limit_of(request)
    after = cursor_of(request)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: limit + 1])
    following = str(found[limit - 1].pk) if len(found) > limit else None
    return {"results": [show(row) for row in found[:limit]], "next": following}
