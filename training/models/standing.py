"""What an adapter is to its project now; every page shows it in these words."""

from django.db.models import TextChoices


class Standing(TextChoices):
    """Exactly one holds. Derived (training.queries.standing), never stored.

    Whether replicas still have it in memory is another question, which `replicas` answers.
    """

    JUDGE = "judge", "a reward model, which writes no answers"
    CURRENT = "current", "the project's model"
    SWAPPING = "swapping", "being swapped in"
    TOO_LARGE = "too_large", "too large for these servers"
    WAITING = "waiting", "waits for a decision"
    CANDIDATE = "candidate", "being compared"
    ROLLED_BACK = "rolled_back", "rolled back"
    REPLACED = "replaced", "replaced"
    REJECTED = "rejected", "not promoted"
    EVALUATED = "evaluated", "evaluated"
    TRAINED = "trained", "not evaluated"
