"""Which loops rest, and when their next turn is due."""

from datetime import UTC, datetime

from django.db.models import F, Max, Q, Sum

from annotate.models import Ranking, Split
from annotate.queries.access import MANAGE
from training.loop.policy import LoopSettings
from training.loop.turns import NextTurn, Past, next_turn
from training.models import LoopPolicy, LoopStep, Snapshot, SnapshotState
from training.models.loop import UNFINISHED_STEPS

LOST_OWNER = (
    "{owner}, for whom the loop acted, does not administer this project any more: it turns by hand "
    "only. Save the policy to act for it yourself."
)


def resting() -> list[LoopPolicy]:
    """Active policies whose project has no unfinished step."""
    busy = LoopStep.objects.filter(state__in=UNFINISHED_STEPS).values("project_id")
    active = LoopPolicy.objects.filter(active=True).exclude(project_id__in=busy)
    return list(active.select_related("owner", "project").order_by("pk"))


def owner_manages(policy: LoopPolicy) -> bool:
    """Whether the one for whom the loop acts may still change the project."""
    member = policy.owner.memberships.filter(project_id=policy.project_id, role__in=MANAGE)
    return policy.owner.is_active and (policy.owner.is_superuser or member.exists())


def next_of(policy: LoopPolicy, settings: LoopSettings) -> NextTurn:
    """When the policy's next turn is due; its cause is empty while it is not."""
    past = _past(policy)
    now = datetime.now(UTC)
    found = next_turn(settings.trigger, past, active=policy.active, now=now)
    if policy.active and not owner_manages(policy):
        text = LOST_OWNER.format(owner=policy.owner.username)
        return NextTurn(found.comparisons, found.needed, found.due_at, "", text)
    return found


def _past(policy: LoopPolicy) -> Past:
    step = LoopStep.objects.filter(project_id=policy.project_id).select_related("snapshot").first()
    return Past(
        step=step.number if step else None,
        since=step.created_at if step else policy.changed_at,
        fresh=_comparisons_since(policy.project_id, step),
    )


def _comparisons_since(project_id: int, step: LoopStep | None) -> int:
    """Of current rankings of training prompts, that the step's snapshot does not have.

    A step that has no snapshot counts from its beginning: one that fails early must not begin
    again and again. Counted by the rankings, of which there are fewer: one of K completions has
    K(K-1)/2 comparisons.
    """
    found = Ranking.objects.filter(
        project_id=project_id, current=True, task__prompt__split=Split.TRAIN
    )
    if step is not None:
        last = _last_ranking(step.snapshot)
        since = Q(created_at__gt=step.created_at) if last is None else Q(pk__gt=last)
        found = found.filter(since)
    pairs = F("round__k") * (F("round__k") - 1) / 2
    return int(found.aggregate(pairs=Sum(pairs, default=0))["pairs"])


def _last_ranking(snapshot: Snapshot | None) -> int | None:
    if snapshot is None or snapshot.state != SnapshotState.READY:
        return None
    last: int | None = snapshot.parts.aggregate(last=Max("ranking_id"))["last"]
    return last
