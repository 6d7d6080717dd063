"""A person's tokens for scripts."""

from django.db.models import QuerySet
from django.utils import timezone
from knox.models import AuthToken

from annotate.models import User


def good_tokens(user: User) -> QuerySet[AuthToken]:
    """Those that have not run out."""
    tokens: QuerySet[AuthToken] = AuthToken.objects.filter(user=user)
    return tokens.filter(expiry__gt=timezone.now())
