"""Nothing that a request asks for is ignored: what does not exist is refused by its name."""

from collections.abc import Collection, Hashable, Mapping
from functools import cache
from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.views import APIView

from annotate.errors import Invalid
from formats.echo import echo

NAMED = 20  # of unknown names, at most so many are echoed


class AskedView(APIView):
    """A view that takes the query parameters its schema declares, and no others.

    An unknown filter that is ignored answers with everybody's rows.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises Invalid, after the questions who asks and whether they may."""
        super().initial(request, *args, **kwargs)
        method = (request.method or "").lower()
        view = cast(Hashable, type(self))  # mypy looks at the hash of its instances
        if request.query_params:
            declared = _declared(view, method)
            for name, given in request.query_params.lists():
                _check(name, given, declared)
        if _takes_no_body(view, method) and request.data:
            sent = request.data if isinstance(request.data, Mapping) else {"": None}
            raise unknown_fields(list(sent), ())


def unknown_fields(unknown: Collection[object], known: Collection[str]) -> Invalid:
    """The refusal of a body with fields that do not exist there."""
    exist = f"The fields are {', '.join(known)}." if known else "Send none."
    names = [echo(name) for name in list(unknown)[:NAMED]]
    message = f"{names[0]}: There is no such field here. {exist}"
    return Invalid(message, fields={name: ["There is no such field here."] for name in names})


def _check(name: str, given: list[str], declared: Mapping[str, tuple[str, ...]]) -> None:
    if name not in declared:
        exist = f"The parameters are {', '.join(declared)}." if declared else "It takes none."
        raise _refused(name, f"This address has no such parameter. {exist}", given)
    if len(given) > 1:
        raise _refused(name, "The parameter is given twice. Give it once.", given)
    if (values := declared[name]) and given[0] and given[0] not in values:
        raise _refused(name, f"Give one of {', '.join(values)}.", given)


def _refused(name: str, message: str, given: list[str]) -> Invalid:
    return Invalid(
        f"{echo(name)}: {message}", fields={echo(name): [echo(each) for each in given[:NAMED]]}
    )


@cache
def _declared(view: type[APIView], method: str) -> dict[str, tuple[str, ...]]:
    """The parameters of the address, each with the values it may have (any: none are listed)."""
    schema = _schema(view, method)
    if schema is None:
        return {}
    return {
        each.name: tuple(map(str, each.enum or ()))
        for each in schema.get_override_parameters()
        if isinstance(each, OpenApiParameter) and each.location == OpenApiParameter.QUERY
    }


@cache
def _takes_no_body(view: type[APIView], method: str) -> bool:
    """Whether the schema says so; a method that does not write is not asked for its body."""
    if method not in ("post", "put", "patch"):
        return False
    schema = _schema(view, method)
    return schema is not None and schema.get_request_serializer() is None


def _schema(view: type[APIView], method: str) -> Any:
    """What `extend_schema` was told of the method; it keeps that on the function."""
    extended = getattr(getattr(view, method, None), "kwargs", {}).get("schema")
    if extended is None:
        return None
    schema = extended()
    schema.view = view()
    schema.view.setup(None)  # only its versioning is asked, of which there is none
    schema.method = method.upper()
    return schema
