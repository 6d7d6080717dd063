"""Making and revoking the tokens with which scripts sign in."""

from datetime import datetime

from django.db import transaction
from knox.models import AuthToken

from annotate.errors import Conflict, NotFound
from annotate.models import User
from annotate.queries.tokens import good_tokens
from annotate.services import audit

MAX_TOKENS = 20


@transaction.atomic
def make_token(*, user: User) -> tuple[str, datetime]:
    """The token, which nobody can read again, and until when it is good. Raises Conflict."""
    User.objects.select_for_update(no_key=True).get(
        pk=user.pk
    )  # two at once are counted one after the other
    if good_tokens(user).count() >= MAX_TOKENS:
        raise Conflict(
            f"You have {MAX_TOKENS} tokens already. Revoke one of them first.",
            code="too_many_tokens",
        )
    instance, token = AuthToken.objects.create(user=user)
    audit.record(verb="made a token", of=user, project_id=None, actor_id=user.pk)
    return str(token), instance.expiry


@transaction.atomic
def revoke_token(*, user: User, key: str) -> None:
    """key: the token's first characters. Raises NotFound."""
    deleted, _ = AuthToken.objects.filter(user=user, token_key=key).delete()
    if not deleted:
        raise NotFound
    audit.record(verb="revoked a token", of=user, project_id=None, actor_id=user.pk)
