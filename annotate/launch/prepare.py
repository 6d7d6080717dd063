"""`python -m annotate.launch.prepare FILE`: bring database and static files up to date.

Its own process, because the supervisor holds no Django. What the example project's command says,
with the generated passwords, goes to FILE.
"""

import os
import sys
from pathlib import Path

import django
from django.core.management import call_command


def main(report: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
    django.setup()
    call_command("check")
    call_command("migrate", interactive=False)
    call_command("collectstatic", interactive=False, verbosity=0)
    _expect_inference()
    with os.fdopen(os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        call_command("load_example", stdout=file)
    call_command("load_example_loop")


def _expect_inference() -> None:
    """Say "loading" of a server that is about to start, where the last run left "down"."""
    from django.conf import settings

    from inference.replicas import sync_replicas

    sync_replicas(settings.INFERENCE_URLS, starting=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
