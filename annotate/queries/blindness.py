"""What somebody may not know yet, because they may still judge it.

Reviewers and admins label too. Of a task that they may still rank, or have open, they see neither
which model wrote what nor what others said; once they have ranked it, or nobody may any more, they
see it all. Exports and snapshots are whole for everybody, since a dataset must not depend on who
fetches it: a ranking says instead whether its labeler could have looked (`Ranking.could_look`).
"""

from django.db.models import Exists, OuterRef, Q

from annotate.models import OPEN_STATES, Claim, ClaimState, Project, Ranking, Slot, User
from annotate.queries.access import LABEL, role_in

# A skip or a flag can be taken back. A lost claim still gives a ranking, as an extra.
IN_HAND = (ClaimState.LIVE, ClaimState.EXPIRED)

WITHHELD = (
    "Some tasks are left out because you may still rank them, or have them open: what others said "
    "would sway you. You see them once you have ranked them, or their round is closed."
)
NOT_YET = (
    "You may still rank this task, or have it open: which model wrote what, and what others said, "
    "would sway you. You see it once you have ranked the task, or its round is closed."
)


def withheld(user: User, project_id: int, *, ranking: str = "") -> Q:
    """The rankings of the project's tasks that the user may still judge.

    ranking: path from the rows that are filtered to their ranking, as "ranking__".
    """
    if role_in(user, project_id) not in LABEL:
        return Q(pk__in=[])
    task = OuterRef(f"{ranking}task")
    mine = Claim.objects.filter(task=task, labeler=user)
    to_be_had = Slot.objects.filter(task=task, ranking=None)
    return (
        Q(**{f"{ranking}round__state__in": OPEN_STATES})
        & ~Exists(mine.filter(state=ClaimState.RANKED))
        & (Exists(to_be_had) | Exists(mine.filter(state__in=IN_HAND)))
    )


def is_withheld(user: User, ranking: Ranking) -> bool:
    """Whether the user may still judge the task of the ranking."""
    found = Ranking.objects.filter(withheld(user, ranking.project_id), pk=ranking.pk)
    return found.exists()


def why_incomplete(user: User, project: Project) -> str | None:
    """Why a list of the project's rankings is not all of them; None: it is.

    Asked of the places that are free, which are few however many rankings there are.
    """
    if role_in(user, project.pk) not in LABEL:
        return None
    mine = Claim.objects.filter(task=OuterRef("task"), labeler=user)
    others = Ranking.objects.filter(task=OuterRef("task"))
    hidden = Slot.objects.filter(
        Exists(others),
        ~Exists(mine.filter(state=ClaimState.RANKED)),
        round__project=project,
        round__state__in=OPEN_STATES,
        ranking=None,
    )
    return WITHHELD if hidden.exists() else None
