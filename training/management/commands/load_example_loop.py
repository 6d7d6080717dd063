"""Give the example project a loop policy."""

from typing import Any

from django.core.management.base import BaseCommand

from training.services.example import load_example_loop


class Command(BaseCommand):
    help = "Give the example project a loop policy that is off; again, it changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        load_example_loop()
