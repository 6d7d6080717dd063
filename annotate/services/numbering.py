"""Numbers that people call things by: 1, 2, 3 … in each project."""

from typing import Any

from django.db.models import Max, QuerySet


def next_number(of_project: QuerySet[Any]) -> int:
    """One more than the largest `number` of these rows.

    The caller holds the project's lock, or lets the unique constraint decide between two.
    """
    largest: int | None = of_project.aggregate(largest=Max("number"))["largest"]
    return (largest or 0) + 1
