"""A snapshot through the API and the real worker."""

import pytest

from annotate.launch.child import Child
from annotate.models import Project, Round, User
from tests import cast
from tests.faults.breaking import wait
from tests.snapshots.conftest import Rank

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _own_folder() -> None:
    """The worker, a process of its own, stores where the settings say: so does this test."""


def test_from_a_request_to_a_file(
    worker: Child, tone: Project, ada: User, lena: User, round_one: Round, rank: Rank
) -> None:
    rank(lena)
    client = cast.signed_in(ada)
    made = client.post("/api/projects/tone/snapshots", {}, format="json")
    assert made.status_code == 201, made.content

    address = "/api/projects/tone/snapshots/1"
    wait("the snapshot", lambda: client.get(address).json()["state"] == "ready")

    detail = client.get(address).json()
    file = client.get(f"{address}/files/train/rankings.jsonl")
    assert len(file.getvalue().splitlines()) == detail["counts"]["train"]["rows"] == 1
