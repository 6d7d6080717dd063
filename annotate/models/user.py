"""A person who signs in."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """An own class from the first migration on, so that it can grow without a painful swap."""

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username
