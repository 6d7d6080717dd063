"""Who did what."""

from django.db.models import QuerySet

from annotate.models import AuditEvent


def events_of(project_id: int) -> QuerySet[AuditEvent]:
    """Everything that was recorded of a project."""
    return AuditEvent.objects.filter(project_id=project_id).select_related("actor")
