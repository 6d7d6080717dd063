"""A person who signs in."""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError

from formats.echo import echo, unseen


class User(AbstractUser):
    """An own class from the first migration on, so that it can grow without a painful swap."""

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username

    def clean(self) -> None:
        super().clean()
        refuse_unseen({"first_name": [self.first_name], "last_name": [self.last_name]})


def refuse_unseen(names: Mapping[str, Iterable[str]]) -> None:
    """names: by field. Raises ValidationError for control characters and changes of direction."""
    faults = {
        field: f"{echo(name)} has characters that cannot be seen. Type it anew."
        for field, texts in names.items()
        for name in texts
        if unseen(name)
    }
    if faults:
        raise ValidationError(faults)
