"""Which served models a project may ask."""

from django.db.models import Q, QuerySet

from annotate.models import OwnedAdapter
from inference.models import ServedModel


def own_models(project_id: int) -> QuerySet[ServedModel]:
    """Every base, the adapters that the project's own runs made, and what no run made.

    The last are adapters that whoever runs the servers started them with (`--lora-modules`): they
    are for all projects, as the base is. Prefloop knows none of their files, so that none of them
    is another project's. A zero adapter stands in for its base and is never asked by its own name.
    """
    own = OwnedAdapter.objects.filter(project_id=project_id).values("content_hash")
    return ServedModel.objects.filter(Q(adapter=None) | Q(adapter__content_hash__in=own))
