"""Tests that each served name of a replica answers as itself, and records the verdicts.

A test takes long and runs on its own, beside the regular checks (`replicas`); it may be started
any number of times.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import chat_template, selftest
from inference.adapter_weights import changes_nothing
from inference.chat_template import Measured
from inference.errors import InferenceError
from inference.locks import try_lock
from inference.models import Adapter, Replica, ServedModel, Serving
from inference.replicas import client_of, settle
from inference.selftest import Verdict

log = logging.getLogger(__name__)


def at_work(replica_id: int) -> str:
    """The lock of whoever tests the replica or changes what it serves."""
    return f"inference.selftest.{replica_id}"


def selftest_replica(replica_id: int) -> bool:
    """Test the served names of a replica and record the verdicts. True if any was recorded.

    Does nothing while another process tests the same replica, or when nothing is pending. A
    change in the middle of the test leaves everything pending for the next one.
    """
    with try_lock(at_work(replica_id)) as held:
        if not held:
            return False
        replica = Replica.objects.get(pk=replica_id)
        if not any(pending for pending in _names_to_test(replica).values()):
            return False
        return bool(examine(replica))


def examine(replica: Replica, *, idle_wait_s: float | None = None) -> dict[str, Verdict]:
    """Test every served name, record what was pending. Empty if a change voided the verdicts.

    The caller holds the lock `at_work`.
    """
    names = _names_to_test(replica)
    try:
        same, weighted = zero_adapters(), weighted_adapters(names)
        verdicts, template = asyncio.run(_test(replica, list(names), same, weighted, idle_wait_s))
    except InferenceError as error:
        log.warning("Self-test of %s broke off: %s", replica.name, error)
        verdicts = {name: Verdict(None, error.summary) for name in names}
        template = Measured(replica.chat_template_hash, tuple(replica.stop_token_ids))
    return verdicts if _record_verdicts(replica, names, verdicts, template) else {}


def _names_to_test(replica: Replica) -> dict[str, bool]:
    """Every name that takes part in the mixed batch, and whether its verdict is pending."""
    servings = replica.servings.filter(present=True).select_related("served_model")
    return {s.served_model.name: s.selftest == Serving.Selftest.PENDING for s in servings}


async def _test(
    replica: Replica,
    names: list[str],
    same: Mapping[str, str],
    weighted: Mapping[str, str],
    idle_wait_s: float | None,
) -> tuple[dict[str, Verdict], Measured]:
    async with client_of(replica) as client:
        verdicts = await selftest.run(
            client, names, same=same, weighted=weighted, idle_wait_s=idle_wait_s
        )
        try:
            template = await chat_template.measure(client, names[0])
        except InferenceError as error:
            if not error.permanent:  # a proxy may keep /tokenize to itself; that harms nobody
                raise
            log.warning("%s does not tell its chat template: %s", replica.name, error)
            template = Measured("", ())
        return verdicts, template


@transaction.atomic
def _record_verdicts(
    tested: Replica, names: dict[str, bool], verdicts: dict[str, Verdict], template: Measured
) -> bool:
    replica = Replica.objects.select_for_update().get(pk=tested.pk)
    if replica.start_id != tested.start_id or _names_to_test(replica).keys() != names.keys():
        return False
    now = timezone.now()
    for serving in replica.servings.filter(
        present=True, selftest=Serving.Selftest.PENDING
    ).select_related("served_model"):
        verdict = verdicts[serving.served_model.name]
        serving.detail = verdict.detail
        if verdict.passed is not None:
            serving.tested_at = now
            serving.selftest = (
                Serving.Selftest.PASSED if verdict.passed else Serving.Selftest.FAILED
            )
            if verdict.passed:
                serving.detail += _other_template(serving.served_model, template)
                serving.reloads, serving.probed_at = 0, now
        serving.save()
    replica.chat_template_hash = template.hash
    replica.stop_token_ids = list(template.stop_token_ids)
    if any(verdict.passed is not None for verdict in verdicts.values()):
        replica.misses = 0  # it answered, and more than a check asks for
    if replica.state not in (Replica.State.DOWN, Replica.State.UNKNOWN):
        settle(replica)
    replica.save()
    return True


def _other_template(model: ServedModel, served: Measured) -> str:
    """In words, when an adapter was trained with another chat template than the replica uses."""
    adapter = Adapter.objects.filter(served_model=model, zero=False).first()
    if adapter is None or not served.hash:
        return ""
    if adapter.template in ("", served.hash):
        return ""
    words = (
        " It was trained with another chat template than this server uses, or with other settings "
        "of it, or the template writes the date. Start the server with the template of the "
        "training, and set CHAT_TEMPLATE_KWARGS as it was then."
    )
    log.warning("%s:%s", model.name, words)
    return words


def zero_adapters() -> dict[str, str]:
    """The base by the served name of its zero adapter."""
    zeros = Adapter.objects.filter(zero=True)
    return dict(zeros.values_list("served_model__name", "base"))


def weighted_adapters(names: Iterable[str]) -> dict[str, str]:
    """Of these served names the adapters that must change answers, each with its base's name.

    One that Prefloop did not load is taken to have weights: nobody serves an adapter for nothing.
    """
    models = ServedModel.objects.filter(name__in=list(names), kind=ServedModel.Kind.ADAPTER)
    known = Adapter.objects.filter(served_model__in=models).select_related("served_model")
    adapters = {adapter.served_model_id: adapter for adapter in known}
    return {
        model.name: model.parent
        for model in models
        if model.pk not in adapters or not _changes_nothing(adapters[model.pk])
    }


def _changes_nothing(adapter: Adapter) -> bool:
    if adapter.zero:
        return True
    copy = Path(settings.INFERENCE_ADAPTER_FOLDER) / adapter.content_hash
    try:
        return changes_nothing(copy)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        log.info("The weights of %s cannot be read: %s", adapter, problem)
        return False
