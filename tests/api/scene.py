"""A project in the middle of a round: everybody is in it, and Lena has a task and a ranking."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from annotate.models import Claim, Membership, Project, Prompt, Role, Round
from annotate.services.drafts import keep_beside
from annotate.services.invitations import invite
from annotate.services.projects import create_project
from annotate.services.rankings import Said, submit_ranking
from tests import cast
from training.services.snapshots import create_snapshot
from training.services.snapshots.building import build_snapshot
from training.snapshots.spec import SnapshotSpec

PEOPLE = ("anonymous", "mallory", "lena", "vera", "rita", "ada")
# Texts that nobody without access may ever see.
SECRETS = (
    "Tone of voice",
    "Question",
    *(f"Answer {number}" for number in range(4)),
    "guarded",
    "base-model",
    "Lena thinks",
)


@dataclass(frozen=True)
class Scene:
    """ids: what stands in the addresses, by the name in the route."""

    project: Project
    round: Round
    clients: dict[str, APIClient]
    ids: dict[str, Any]

    def address(self, route: str) -> str:
        """A route of `annotate.api.urls` with this scene's ids in it."""
        return "/api/" + re.sub(r"<\w+:(\w+)>", lambda name: str(self.ids[str(name[1])]), route)

    def ask(self, person: str, method: str, route: str, body: Any = None) -> Any:
        call = getattr(self.clients[person], method)
        address = self.address(route)
        return call(address) if method == "get" else call(address, body, format="json")


def set_up() -> Scene:
    ada = cast.person("ada")
    project = create_project(
        actor_id=ada.pk, slug="tone", name="Tone of voice", guidelines="guarded", overlap=2
    )
    cast.may_create_projects(ada)
    nina = invite(project_id=project.pk, actor_id=ada.pk, username="nina", role=Role.LABELER)
    lena = cast.member(project, "lena", Role.LABELER)
    vera = cast.member(project, "vera", Role.VIEWER)
    rita = cast.member(project, "rita", Role.REVIEWER)
    mallory = cast.person("mallory")
    cast.add_prompts(project, 3)
    round_ = cast.make_round(project, ada, overlap=2)
    cast.write_completions(round_)
    ranked = cast.claim(lena, project)
    said = Said(tiers=[["A"], ["B"], ["C"], ["D"]], rationale="Lena thinks so.")
    receipt = submit_ranking(claim_id=ranked.claim_id, labeler_id=lena.pk, key=uuid4(), said=said)
    held = cast.claim(lena, project)
    kept = keep_beside(
        Claim.objects.get(pk=held.claim_id).task_id,
        lena.pk,
        {"body": {"tiers": []}, "writer": "a page", "step": 1, "saved_at": timezone.now()},
    )
    snapshot = create_snapshot(project_id=project.pk, actor_id=ada.pk, spec=SnapshotSpec())
    build_snapshot(snapshot_id=snapshot.pk)
    token, _ = AuthToken.objects.create(user=lena)
    clients = {
        person.username: cast.signed_in(person) for person in (ada, lena, vera, rita, mallory)
    }
    return Scene(
        project,
        round_,
        {**clients, "anonymous": APIClient()},
        {
            "slug": project.slug,
            "claim_id": held.claim_id,
            "kept_id": kept,
            "ranking_id": receipt.id,
            "invitation_id": nina.pk,
            "member_id": Membership.objects.get(project=project, user=vera).pk,
            "prompt_id": Prompt.objects.earliest("pk").pk,
            "number": round_.number,
            "action": "pause",
            "key": token.token_key,
            "what": "comparisons",
            "kind": "jsonl",
            "name": "train/rankings.jsonl",
            "step": "cancel",
            "rollout": 1,
            "model": cast.served_model().pk,
        },
    )


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside leaves nothing in the database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ranking_body(**changes: Any) -> dict[str, Any]:
    tiers = [["B"], ["A", "D"], ["C"]]
    return {"key": str(uuid4()), "tiers": tiers, "active_ms": 4200, **changes}


def content(response: Any) -> bytes:
    """The whole body, of a streamed response too."""
    return b"".join(response) if response.streaming else bytes(response.content)
