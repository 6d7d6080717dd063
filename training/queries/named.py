"""What a request names by its number."""

from typing import Any

from annotate.errors import Invalid
from training.models import Evaluation, Snapshot, TrainedAdapter

Named = type[Snapshot] | type[TrainedAdapter] | type[Evaluation]
_NAMES: dict[Any, str] = {Snapshot: "snapshot", TrainedAdapter: "adapter", Evaluation: "evaluation"}


def id_of(kind: Named, project_id: int, number: int, field: str) -> int:
    """The row of a project that bears a number. Raises Invalid, naming the request's field."""
    rows: Any = kind.objects.filter(project_id=project_id, number=number)
    found: int | None = rows.values_list("pk", flat=True).first()
    if found is None:
        name = _NAMES[kind]
        message = f"This project has no {name} {number}. Choose among its {name}s."
        raise Invalid(message, fields={field: [message]})
    return found


def adapter_id(project_id: int, number: int | None, field: str = "adapter") -> int | None:
    """None for None. Raises Invalid."""
    return None if number is None else id_of(TrainedAdapter, project_id, number, field)
