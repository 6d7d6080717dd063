"""The record of who did what to which object."""

from django.db.models import Model

from annotate.models import AuditEvent


def record(
    *,
    verb: str,
    of: Model,
    project_id: int | None,
    actor_id: int | None,
    **detail: str | int | float | bool | None,
) -> None:
    """Write one event, inside the transaction of what it tells of."""
    AuditEvent.objects.create(
        project_id=project_id,
        actor_id=actor_id,
        verb=verb,
        object_type=of._meta.model_name or "",
        object_id=str(of.pk),
        detail=detail,
    )
