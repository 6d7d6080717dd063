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
    places = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="For adapters (--max-loras), once the server has said it."
    )
    max_model_len = models.PositiveIntegerField(null=True, blank=True)
    chat_template_hash = models.CharField(max_length=64, blank=True)
    stop_token_ids = models.JSONField(
        default=list, blank=True, help_text="Tokens that end a turn by its chat template."
    )

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
    reloads = models.PositiveSmallIntegerField(
        default=0, help_text="Of an adapter that failed here, since it last passed."
    )
    probed_at = models.DateTimeField(null=True, blank=True)
    leaving_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing more is asked of it, for its place."
    )

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


class Adapter(models.Model):
    """Trained weights over a base: immutable, named by their content, served under that name.

    Its files are found by its hash (`inference.adapter_store`); those of a zero adapter are made
    from any adapter of its shapes (`inference.zero`).
    """

    class State(models.TextChoices):
        STORED = "stored"  # on no replica
        LOADING = "loading"  # a swap is bringing it
        SERVING = "serving"  # an alias means it: every replica serves it, as far as places go
        RETIRED = "retired"  # no alias points to it: unloaded once its requests have ended
        UNLOADED = "unloaded"  # on no replica, its copy for the replicas still lies there

    content_hash = models.CharField(max_length=64, unique=True)
    base = models.CharField(max_length=200, help_text="Served name of the model under it.")
    rank = models.PositiveSmallIntegerField()
    template = models.CharField(
        max_length=64, blank=True, help_text="Hash of the chat template it was trained with."
    )
    zero = models.BooleanField(default=False, help_text="Changes nothing: stands in for the base.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.STORED)
    retired_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody last wanted an answer by it."
    )
    served_model = models.OneToOneField(
        ServedModel, on_delete=models.PROTECT, related_name="adapter"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            CheckConstraint(
                condition=Q(state__in=["stored", "loading", "serving", "unloaded"])
                | Q(state="retired", retired_at__isnull=False),
                name="adapter_state_known",
            ),
            UniqueConstraint(
                fields=["state"], condition=Q(state="loading"), name="one_adapter_loading"
            ),
            UniqueConstraint(
                fields=["base"], condition=Q(zero=True, state="serving"), name="one_zero_of_a_base"
            ),
        ]

    def __str__(self) -> str:
        return self.served_model.name


class ModelAlias(models.Model):
    """A name whose meaning changes: the pointer that a swap flips. No adapter: the base."""

    name = models.CharField(max_length=255, unique=True)
    base = models.CharField(max_length=200)
    current = models.ForeignKey(Adapter, on_delete=models.PROTECT, null=True, related_name="+")
    previous = models.ForeignKey(Adapter, on_delete=models.PROTECT, null=True, related_name="+")
    flipped_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            CheckConstraint(condition=~Q(name="") & ~Q(base=""), name="model_alias_named"),
        ]

    def __str__(self) -> str:
        return self.name
