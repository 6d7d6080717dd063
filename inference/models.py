"""Replicas, the names they serve, and whether each name may be used there."""

from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint


class Replica(models.Model):
    """One vLLM server. Never deleted, completions name it; `enabled`: it is configured now."""

    class State(models.TextChoices):
        UNKNOWN = "unknown"
        LOADING = "loading"  # expected soon, or being tested
        READY = "ready"  # at least one served name passed its self-test
        FAILING = "failing"  # answers, but not as it should
        DOWN = "down"

    name = models.CharField(max_length=255, unique=True)
    url = models.CharField(max_length=500, unique=True)
    enabled = models.BooleanField(default=True)
    local = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.UNKNOWN)
    message = models.TextField(blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    awaited_since = models.DateTimeField(
        null=True, blank=True, help_text="Set until the replica first answers after a start."
    )
    misses = models.PositiveSmallIntegerField(default=0, help_text="Checks timed out in a row.")
    start_id = models.CharField(
        max_length=64, blank=True, help_text="Changes when the server process is another one."
    )
    max_model_len = models.PositiveIntegerField(null=True, blank=True)
    chat_template_hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            CheckConstraint(
                condition=Q(state__in=["unknown", "loading", "ready", "failing", "down"]),
                name="replica_state_known",
            ),
            CheckConstraint(
                condition=Q(url__startswith="http://") | Q(url__startswith="https://"),
                name="replica_url_is_http",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ServedModel(models.Model):
    """A name that can be asked for. It never changes its meaning: new weights get a new name."""

    class Kind(models.TextChoices):
        BASE = "base"
        ADAPTER = "adapter"

    name = models.CharField(max_length=255, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    parent = models.CharField(max_length=255, blank=True, help_text="Base under the adapter.")
    first_seen = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            CheckConstraint(
                condition=Q(kind="base", parent="") | (Q(kind="adapter") & ~Q(parent="")),
                name="served_model_adapters_have_parents",
            ),
            CheckConstraint(condition=~Q(name=""), name="served_model_named"),
        ]

    def __str__(self) -> str:
        return self.name


class Serving(models.Model):
    """A name on a replica. Used only while present and passed."""

    class Selftest(models.TextChoices):
        PENDING = "pending"
        PASSED = "passed"
        FAILED = "failed"

    replica = models.ForeignKey(Replica, on_delete=models.CASCADE, related_name="servings")
    served_model = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="servings")
    present = models.BooleanField(default=True)
    root = models.TextField(blank=True, help_text="Where the replica says the weights lie.")
    selftest = models.CharField(max_length=10, choices=Selftest.choices, default=Selftest.PENDING)
    detail = models.TextField(blank=True)
    tested_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["replica", "served_model"], name="one_serving_per_replica"),
            CheckConstraint(
                condition=Q(selftest="pending")
                | Q(selftest="passed", tested_at__isnull=False)
                | (Q(selftest="failed", tested_at__isnull=False) & ~Q(detail="")),
                name="serving_selftest_has_time_and_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.served_model} on {self.replica}"
