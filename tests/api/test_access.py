"""Who gets what from every address below /api/: each method of each view has a line here."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from rest_framework.test import APIClient

from annotate.api import urls as annotate_urls
from annotate.models import Membership, Role, User
from annotate.services.projects import create_project
from tests import cast
from tests.api import scene
from tests.api.scene import PEOPLE, SECRETS, Scene
from training.api import urls as training_urls

Expected = dict[str, int]
Body = Callable[[Scene], dict[str, Any]]


def everybody(status: int) -> Expected:
    return dict.fromkeys(PEOPLE, status)


def signed_in(status: int) -> Expected:
    return {**everybody(status), "anonymous": 401}


def members(status: int, *names: str, others: int = 403) -> Expected:
    """Strangers learn nothing, members without the role are told so."""
    found = {name: status if name in names else others for name in PEOPLE}
    return {**found, "mallory": 404, "anonymous": 401}


def manage(status: int) -> Expected:
    return members(status, "ada")


def review(status: int) -> Expected:
    return members(status, "ada", "rita")


def read_data(status: int) -> Expected:
    return members(status, "ada", "rita", "vera")


def label(status: int) -> Expected:
    return members(status, "ada", "rita", "lena")


def see(status: int) -> Expected:
    return members(status, "ada", "rita", "vera", "lena")


def lenas_own(status: int) -> Expected:
    """Nobody else has any business with it, whatever their role."""
    return members(status, "lena", others=404)


def spec(scene: Scene) -> dict[str, Any]:
    return {"sources": [{"served_model": scene.ids["model"]}]}


def submit(scene_: Scene) -> dict[str, Any]:
    return scene.ranking_body()


CREDENTIALS = {"username": "lena", "password": cast.PASSWORD}
IMPORT = {"text": '{"prompt": "New"}', "format": "jsonl"}
RETRACTION = {"labeler": "lena", "reason": "Guessed."}
LOOP = {
    "settings": {
        "trigger": {"comparisons": 5},
        "run": {"values": {"optimizer": {"lr": 1e-5}}},
        "gate": {"max_kl": 1.0},
        "next_round": {"k": 2},
    },
    "active": True,
}
PROJECT = "projects/<slug:slug>"
CLAIM, RANKING = "claims/<int:claim_id>", "rankings/<int:ranking_id>"
SNAPSHOT = f"{PROJECT}/snapshots/<int:number>"
TRAINING = {"snapshot": 1, "method": "dpo", "preset": "135m-cpu"}
RUN = f"{PROJECT}/runs/<int:number>"
ADAPTER, EVALUATION = f"{PROJECT}/adapters/<int:number>", f"{PROJECT}/evaluations/<int:number>"
ROUND, EXPORT = f"{PROJECT}/rounds/<int:number>", f"{PROJECT}/export/<str:what>.<str:kind>"


@dataclass(frozen=True)
class Line:
    expected: Expected
    body: dict[str, Any] | Body | None = None

    def body_in(self, scene: Scene) -> dict[str, Any] | None:
        return self.body(scene) if callable(self.body) else self.body


def named(value: str) -> str:
    """A route's name in the list of tests."""
    return re.sub(r"<\w+:(\w+)>", r"\1", value)


LINES: dict[tuple[str, str], Line] = {
    ("get", "session"): Line(everybody(200)),
    ("post", "session"): Line(everybody(200), CREDENTIALS),
    ("delete", "session"): Line(everybody(204)),
    ("get", "tokens"): Line(signed_in(200)),
    ("post", "tokens"): Line(signed_in(201)),
    ("delete", "tokens/<str:key>"): Line(lenas_own(204)),
    ("get", "health"): Line(everybody(200)),
    # For those who run the servers, which nobody here does.
    ("get", "inference"): Line({**everybody(404), "anonymous": 401}),
    ("get", "schema"): Line(everybody(200)),
    ("get", "invitations"): Line(signed_in(200)),
    # Another person is asked.
    ("post", "invitations/<int:invitation_id>/accept"): Line({**everybody(404), "anonymous": 401}),
    ("post", "invitations/<int:invitation_id>/decline"): Line({**everybody(404), "anonymous": 401}),
    ("get", "queues"): Line(signed_in(200)),
    ("get", "decisions"): Line(signed_in(200)),
    ("post", f"{PROJECT}/claims"): Line(label(200), {"have": []}),
    ("post", f"{CLAIM}/renew"): Line(lenas_own(200)),
    ("post", f"{CLAIM}/release"): Line(lenas_own(204)),
    ("post", f"{CLAIM}/undo"): Line(lenas_own(200)),
    ("get", CLAIM): Line(lenas_own(200)),
    ("put", f"{CLAIM}/draft"): Line(lenas_own(200), {"body": {"tiers": []}}),
    ("post", f"{CLAIM}/kept/<int:kept_id>"): Line(lenas_own(200)),
    ("delete", f"{CLAIM}/kept/<int:kept_id>"): Line(lenas_own(204)),
    ("post", f"{CLAIM}/ranking"): Line(lenas_own(201), submit),
    ("post", f"{CLAIM}/skip"): Line(lenas_own(200), {"reason": "unsure"}),
    ("post", f"{CLAIM}/flag"): Line(lenas_own(200), {"kind": "harmful"}),
    ("get", "rankings/mine"): Line(signed_in(200)),
    # Rita and Ada may still rank its task.
    ("get", RANKING): Line({**members(200, "lena", others=404), "rita": 403, "ada": 403}),
    ("post", f"{RANKING}/undo"): Line(lenas_own(200)),
    ("post", f"{RANKING}/revisions"): Line(lenas_own(201), submit),
    ("get", "projects"): Line(signed_in(200)),
    ("post", "projects"): Line({**members(201, "ada"), "mallory": 403}, {"name": "Mine"}),
    ("get", PROJECT): Line(see(200)),
    ("patch", PROJECT): Line(manage(200), {"name": "Renamed"}),
    ("get", f"{PROJECT}/members"): Line(manage(200)),
    ("post", f"{PROJECT}/members"): Line(manage(201), {"username": "mallory", "role": "viewer"}),
    ("patch", f"{PROJECT}/members/<int:member_id>"): Line(manage(200), {"role": "labeler"}),
    ("delete", f"{PROJECT}/members/<int:member_id>"): Line(manage(204)),
    # The last who runs it stays.
    ("delete", f"{PROJECT}/membership"): Line({**see(204), "ada": 409}),
    ("delete", f"{PROJECT}/invitations/<int:invitation_id>"): Line(manage(204)),
    ("get", f"{PROJECT}/audit"): Line(manage(200)),
    ("get", f"{PROJECT}/prompts"): Line(review(200)),
    ("get", f"{PROJECT}/prompts/<int:prompt_id>"): Line(review(200)),
    ("post", f"{PROJECT}/prompts/import"): Line(manage(200), IMPORT),
    ("get", f"{PROJECT}/models"): Line(review(200)),
    ("get", f"{PROJECT}/rounds"): Line(review(200)),
    ("post", f"{PROJECT}/rounds"): Line(manage(201), spec),
    ("post", f"{PROJECT}/rounds/estimate"): Line(manage(200), spec),
    ("get", ROUND): Line(review(200)),
    ("post", f"{ROUND}/<str:action>"): Line(manage(200)),
    ("get", f"{PROJECT}/rankings"): Line(read_data(200)),
    ("get", f"{PROJECT}/comparisons"): Line(read_data(200)),
    ("get", EXPORT): Line(read_data(200)),
    ("get", f"{PROJECT}/snapshots"): Line(read_data(200)),
    ("post", f"{PROJECT}/snapshots"): Line(manage(201), {}),
    ("get", SNAPSHOT): Line(read_data(200)),
    ("get", f"{SNAPSHOT}/card"): Line(read_data(200)),
    ("get", f"{SNAPSHOT}/files/<path:name>"): Line(read_data(200)),
    ("get", f"{SNAPSHOT}/rows"): Line(read_data(200)),
    ("get", f"{SNAPSHOT}/download.zip"): Line(read_data(200)),
    ("get", f"{PROJECT}/leaderboard"): Line(read_data(200)),
    ("get", f"{PROJECT}/lineage"): Line(read_data(200)),
    # Nobody is named.
    ("get", f"{PROJECT}/lineage/touched"): Line(read_data(400)),
    ("get", f"{PROJECT}/lineage/rebuild"): Line(read_data(200)),
    # There is no adapter yet.
    ("post", f"{PROJECT}/lineage/rebuild"): Line(manage(404), {"adapter": 1}),
    ("post", f"{PROJECT}/retractions"): Line(manage(201), RETRACTION),
    # It is ready: nothing is left to do for those who may.
    ("post", f"{SNAPSHOT}/<str:step>"): Line(manage(409)),
    # With runs: tests/loop/runs/test_requests.py.
    ("get", f"{PROJECT}/runs"): Line(read_data(200)),
    ("post", f"{PROJECT}/runs"): Line(manage(201), TRAINING),
    # There is no such snapshot, so the engine is not asked.
    ("post", f"{PROJECT}/runs/estimate"): Line(manage(400), {**TRAINING, "snapshot": 99}),
    ("get", f"{PROJECT}/runs/options"): Line(read_data(200)),
    ("get", RUN): Line(read_data(404)),
    ("get", f"{RUN}/metrics"): Line(read_data(404)),
    ("get", f"{RUN}/log"): Line(read_data(404)),
    # With answers: tests/loop/runs/test_rollouts.py.
    ("get", f"{RUN}/rollouts"): Line(read_data(404)),
    ("get", f"{RUN}/rollouts/kept"): Line(read_data(404)),
    ("get", f"{RUN}/rollouts/<int:rollout>"): Line(read_data(404)),
    ("post", f"{RUN}/<str:step>"): Line(manage(404)),
    # With adapters and evaluations: tests/loop/evaluations/test_api.py.
    ("get", f"{PROJECT}/adapters"): Line(read_data(200)),
    ("get", ADAPTER): Line(read_data(404)),
    ("get", f"{ADAPTER}/card"): Line(read_data(404)),
    ("get", f"{ADAPTER}/files/<path:name>"): Line(read_data(404)),
    ("get", f"{PROJECT}/evaluations"): Line(read_data(200)),
    ("post", f"{PROJECT}/evaluations"): Line(manage(400), {"candidate": 1}),
    ("get", EVALUATION): Line(read_data(404)),
    ("get", f"{EVALUATION}/answers"): Line(read_data(404)),
    ("post", f"{EVALUATION}/<str:step>"): Line(manage(404)),
    ("get", f"{PROJECT}/promotions"): Line(read_data(200)),
    # The base is the project's model, and it was never another one.
    ("post", f"{PROJECT}/promotions"): Line(manage(409), {"adapter": None}),
    ("post", f"{PROJECT}/promotions/roll-back"): Line(manage(409), {}),
    ("get", f"{PROJECT}/serving"): Line(read_data(200)),
    ("get", f"{PROJECT}/loop"): Line(read_data(200)),
    ("put", f"{PROJECT}/loop"): Line(manage(200), LOOP),
    ("get", f"{PROJECT}/loop/steps"): Line(read_data(200)),
    # The loop has made no step yet.
    ("get", f"{PROJECT}/loop/steps/<int:number>"): Line(read_data(404)),
    ("post", f"{PROJECT}/loop/<str:action>"): Line(manage(409)),
}


def served() -> Iterator[tuple[str, str]]:
    """Every method of every view below /api/."""
    for pattern in [*annotate_urls.urlpatterns, *training_urls.urlpatterns]:
        view = getattr(pattern.callback, "view_class", None)
        for method in ("get", "post", "put", "patch", "delete"):
            if hasattr(view, method):
                yield method, str(pattern.pattern)


def test_every_address_has_a_line() -> None:
    assert set(served()) == set(LINES)


@pytest.mark.parametrize(("method", "route"), LINES, ids=named)
def test_everybody_gets_what_is_theirs(stage: Scene, method: str, route: str) -> None:
    line = LINES[method, route]
    found, leaks = {}, []
    for person in stage.clients:
        with scene.undone():
            response = stage.ask(person, method, route, line.body_in(stage))
            body = scene.content(response).decode(errors="replace")  # archives, too
            found[person] = response.status_code
            if response.status_code >= 400:
                assert set(response.json()) == {"error"}, body
            if person in ("anonymous", "mallory") or response.status_code >= 400:
                leaks += [(person, secret) for secret in SECRETS if secret in body]
    assert found == line.expected
    assert not leaks


def test_who_may_not_sign_in_any_more_gets_nothing(stage: Scene) -> None:
    User.objects.filter(username="ada").update(is_active=False)
    for (method, route), line in LINES.items():
        with scene.undone():
            response = stage.ask("ada", method, route, line.body_in(stage))
            assert response.status_code == line.expected["anonymous"], (method, route)


def test_a_project_that_does_not_exist_looks_like_one_of_others(stage: Scene) -> None:
    for (method, route), line in LINES.items():
        if route.startswith(PROJECT):
            body = line.body_in(stage)
            foreign = stage.ask("mallory", method, route, body)
            unknown = stage.ask("ada", method, route.replace("<slug:slug>", "nowhere"), body)
            assert (unknown.status_code, unknown.json()) == (404, foreign.json()), (method, route)


def test_an_admin_elsewhere_reaches_nothing_through_their_own_project(stage: Scene) -> None:
    oscar = cast.person("oscar")
    create_project(actor_id=oscar.pk, slug="other", name="Other")
    client = cast.signed_in(oscar)
    stage.ids["slug"] = "other"
    for route in (
        "prompts/<int:prompt_id>",
        "rounds/<int:number>",
        "snapshots/<int:number>",
        "snapshots/<int:number>/card",
        "snapshots/<int:number>/files/<path:name>",
        "snapshots/<int:number>/rows",
        "snapshots/<int:number>/download.zip",
    ):
        assert client.get(stage.address(f"{PROJECT}/{route}")).status_code == 404
    member = stage.address(f"{PROJECT}/members/<int:member_id>")
    assert client.patch(member, {"role": "owner"}, format="json").status_code == 404
    assert client.delete(member).status_code == 404
    for action in ("start", "pause", "resume", "cancel", "close", "retry"):
        stage.ids["action"] = action
        assert client.post(stage.address(f"{ROUND}/<str:action>")).status_code == 404
    assert client.get(stage.address(RANKING)).status_code == 404
    for step in ("cancel", "retry"):
        stage.ids["step"] = step
        assert client.post(stage.address(f"{SNAPSHOT}/<str:step>")).status_code == 404
    for list_ in (
        "prompts",
        "rounds",
        "rankings",
        "comparisons",
        "snapshots",
        "runs",
        "lineage/rebuild",
        "loop/steps",
    ):
        assert client.get(f"/api/projects/other/{list_}").json()["results"] == []
    audit = client.get("/api/projects/other/audit").json()["results"]
    assert [row["actor"] for row in audit] == ["oscar"]


def test_a_superuser_runs_every_project(stage: Scene) -> None:
    root = cast.person("root")
    User.objects.filter(pk=root.pk).update(is_superuser=True)
    stage.clients["root"] = cast.signed_in(root)
    for (method, route), line in LINES.items():
        if route.startswith(PROJECT):
            with scene.undone():
                response = stage.ask("root", method, route, line.body_in(stage))
                scene.content(response)
                # A superuser is in no project, and so leaves none.
                expected = 404 if "membership" in route else line.expected["ada"]
                assert response.status_code == expected, (method, route)


def test_a_superuser_takes_back_what_they_ranked(stage: Scene) -> None:
    root = cast.person("root")
    User.objects.filter(pk=root.pk).update(is_superuser=True)
    client = cast.signed_in(root)
    claim = client.post("/api/projects/tone/claims", {}, format="json").json()["claim"]
    address = f"/api/claims/{claim['id']}/ranking"
    receipt = client.post(address, scene.ranking_body(), format="json").json()
    assert client.post(f"/api/rankings/{receipt['id']}/undo").status_code == 200
    receipt = client.post(address, scene.ranking_body(), format="json").json()
    revisions = f"/api/rankings/{receipt['id']}/revisions"
    assert client.post(revisions, scene.ranking_body(), format="json").status_code == 201


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_who_no_longer_labels_changes_nothing(stage: Scene, role: Role | None) -> None:
    membership = Membership.objects.filter(user__username="lena")
    if role is None:
        membership.delete()
    else:
        membership.update(role=role)
    for (method, route), line in LINES.items():
        if route.startswith((CLAIM, f"{RANKING}/")):
            with scene.undone():
                response = stage.ask("lena", method, route, line.body_in(stage))
                assert response.status_code == 404, (method, route)


def test_a_viewer_sees_no_single_ranking_of_others(stage: Scene) -> None:
    """They read lists and exports; who said what in detail is for reviewers."""
    assert stage.clients["vera"].get(stage.address(RANKING)).status_code == 404


def test_nobody_learns_of_others_tokens(stage: Scene) -> None:
    for person in ("ada", "mallory"):
        assert stage.clients[person].get("/api/tokens").json() == {"results": []}
    (mine,) = stage.clients["lena"].get("/api/tokens").json()["results"]
    assert mine["id"] == stage.ids["key"]


def test_a_wrong_token_is_no_way_in(stage: Scene) -> None:
    client = APIClient(HTTP_AUTHORIZATION=f"Token {stage.ids['key']}{'0' * 56}")
    response = client.get("/api/queues")
    assert response.status_code == 401
    assert response.json()["error"]["code"]
