"""`python docker/health.py web|worker|generator|trainer|beat`: health check inside a container.

Exit status 0 when the process does its work, else 1 with one line that says what is wrong.
"""

import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SCHEDULE = Path("/tmp/beat")  # noqa: S108  # compose mounts the container's own /tmp
# Beat writes its schedule every three minutes.
OLDEST_SCHEDULE = 600.0  # seconds


class Unhealthy(Exception):
    """The text says what is wrong."""


def web(port: int = 8000) -> None:
    """Raises Unhealthy unless the site, its database and its cache answer."""
    # As the proxy asks: without the header, the answer would be a redirection to https.
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/health", headers={"X-Forwarded-Proto": "https"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310  # always http
            status = reply.status
    except urllib.error.HTTPError as refused:
        status = refused.code
    except OSError as error:
        raise Unhealthy(f"no answer on port {port}: {error}") from error
    if status != 200:
        raise Unhealthy(f"/api/health answers {status}")


def celery(name: str) -> None:
    """Raises Unhealthy unless the Celery worker of that name in this container answers."""
    # Imported here: the web server's check needs no Celery, and runs often.
    from annotate.celery_app import app

    node = f"{name}@{socket.gethostname()}"
    if not app.control.inspect(destination=[node], timeout=5).ping():
        raise Unhealthy(f"{node} does not answer")


def beat(schedule: Path = SCHEDULE) -> None:
    """Raises Unhealthy unless beat wrote its schedule lately."""
    files = list(schedule.parent.glob(f"{schedule.name}*"))
    if not files:
        raise Unhealthy(f"there is no schedule at {schedule}")
    age = time.time() - max(file.stat().st_mtime for file in files)
    if age > OLDEST_SCHEDULE:
        raise Unhealthy(f"the schedule was last written {age:.0f} s ago")


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["web"]:
                web()
            case ["beat"]:
                beat()
            case ["worker" | "generator" | "trainer" as name]:
                celery(name)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except Unhealthy as unhealthy:
        print(unhealthy, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
