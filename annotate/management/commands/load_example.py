"""Load the example project and say who can sign in."""

from typing import Any

from django.core.management.base import BaseCommand

from annotate import environment
from annotate.services.example import USERS, load_example

PASSWORD_BYTES = 9


class Command(BaseCommand):
    help = "Load the example project with its people; loading it again changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        env = environment.read()
        passwords = {
            person.username: env.secret(f"password_{person.username}", PASSWORD_BYTES)
            for person in USERS
        }
        load_example(passwords=passwords)
        for person in USERS:
            part = "admin" if person.admin else "labeler"
            password = passwords[person.username]
            self.stdout.write(f"{person.username:<6} {part:<8} {password}")
