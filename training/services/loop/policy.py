"""Saving a project's loop policy."""

from typing import Any

from django.conf import settings as django_settings
from django.db import transaction

from annotate.errors import Invalid
from annotate.models import Project
from annotate.services import audit
from annotate.versions import refuse_outdated
from inference.queries import why_too_long
from training.engine.spec import Method
from training.loop.policy import LoopSettings, PolicyError, Recipe, read
from training.models import LoopPolicy
from training.queries.loop import policy_of, version
from training.queries.servable import rank_of, why_not
from training.runs.assembly import Choice, assemble
from training.runs.launching import shards
from training.services.runs.estimates import refuse_unknown_layers


def set_policy(
    *,
    project_id: int,
    actor_id: int,
    settings: dict[str, Any] | LoopSettings,
    active: bool,
    base: str | None = None,
) -> LoopPolicy:
    """From the next step on; one that is under way keeps the settings it began with.

    The actor becomes the owner, for whom the loop acts. base: the version that was edited. Takes
    seconds where layers are named: call it outside of a transaction. Raises Invalid with the fields
    at fault, as settings.gate.max_kl; Conflict when base is not the newest.
    """
    chosen = _checked(settings, active=active)
    return _save(project_id, actor_id, chosen, active=active, base=base)


@transaction.atomic
def _save(
    project_id: int, actor_id: int, chosen: LoopSettings, *, active: bool, base: str | None
) -> LoopPolicy:
    Project.objects.select_for_update().get(pk=project_id)
    refuse_outdated(base, version(policy_of(project_id)), "the policy")
    policy, _ = LoopPolicy.objects.update_or_create(
        project_id=project_id,
        defaults={"settings": chosen.as_json(), "active": active, "owner_id": actor_id},
    )
    audit.record(verb="changed", of=policy, project_id=project_id, actor_id=actor_id, active=active)
    return policy


def _checked(settings: dict[str, Any] | LoopSettings, *, active: bool) -> LoopSettings:
    try:
        chosen = settings if isinstance(settings, LoopSettings) else read(settings)
    except PolicyError as problem:
        raise _invalid(problem.fields) from None
    spec = _check_run("run", str(chosen.run.method), chosen.run)
    if reason := why_not(rank_of(spec)):
        message = f"What this trains could never be promoted: {reason}"
        raise _invalid({"run.values.lora.r": [message]})
    _refuse_too_long(chosen)
    if chosen.judge.train:
        _check_run("judge", "reward", chosen.judge)
    if active and chosen.trigger.comparisons is None and chosen.trigger.hours is None:
        message = "nothing sets the loop off; give a number of comparisons or of hours, or both"
        raise _invalid({"trigger": [message]})
    return chosen


def _refuse_too_long(chosen: LoopSettings) -> None:
    parts = {"evaluation": chosen.evaluation, "next_round": chosen.next_round}
    for name, part in parts.items():
        if part is not None and (reason := why_too_long(part.max_tokens)):
            raise _invalid({f"{name}.max_tokens": [reason]})


def _check_run(part: str, method: str, recipe: Recipe) -> dict[str, Any]:
    """The spec as the engine reads it, with stand-ins for what the step brings along."""
    files = {"rankings": ["rankings"], "demonstrations": ["demonstrations"]}
    judge = "judge" if Method(method).learns_from_judge else ""
    choice = Choice(
        method,
        recipe.preset,
        recipe.values,
        files,
        base="base",
        judge=judge,
        sharded=shards(django_settings.TRAINING_LAUNCH),
    )
    try:
        spec = assemble(choice)
        refuse_unknown_layers(spec, ask=True)
    except Invalid as problem:
        fields = {f"{part}.values.{name}": texts for name, texts in problem.fields.items()}
        raise _invalid(fields or {f"{part}.values": [problem.message]}) from None
    return spec


def _invalid(fields: dict[str, list[str]]) -> Invalid:
    """fields: by their path in the settings; "": the whole."""
    named = {f"settings.{name}" if name else "settings": texts for name, texts in fields.items()}
    name, texts = next(iter(named.items()))
    return Invalid(f"{name}: {texts[0]}", fields=named)
