"""A labeler with tasks, and a client of each kind on the real web server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from annotate.models import Project, Role, User
from annotate.services.projects import create_project
from tests import cast
from tests.patience import PATIENCE_S
from tests.services import Site


@pytest.fixture
def ada(transactional_db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def project(ada: User) -> Project:
    project = create_project(actor_id=ada.pk, slug="tone", name="Tone")
    cast.add_prompts(project, 20)
    cast.write_completions(cast.make_round(project, ada))
    return project


@pytest.fixture
def stranger(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=PATIENCE_S, trust_env=False) as client:
        yield client


@pytest.fixture
def lena(site: Site, project: Project) -> Iterator[httpx.Client]:
    with signed_in(site, cast.member(project, "lena", Role.LABELER)) as client:
        yield client


@contextmanager
def signed_in(site: Site, user: User) -> Iterator[httpx.Client]:
    """A browser with a session and its CSRF token."""
    cookies = {"sessionid": cast.signed_in(user).cookies["sessionid"].value}
    with httpx.Client(
        base_url=site.url, cookies=cookies, timeout=PATIENCE_S, trust_env=False
    ) as client:
        client.headers["X-CSRFToken"] = client.get("/api/session").json()["csrf_token"]
        yield client


def head(site: Site, path: str, length: int, *more: str) -> bytes:
    host = site.url.removeprefix("http://")
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def connected(site: Site) -> Iterator[socket.socket]:
    port = int(site.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        yield connection
