"""Canceling what may end in this moment."""

from collections.abc import Callable

from django.db import transaction

from annotate.errors import Conflict


def unless_it_ended(cancel: Callable[..., object], **which: int) -> None:
    """What has ended meanwhile needs no canceling."""
    try:
        with transaction.atomic():
            cancel(**which)
    except Conflict:
        pass
