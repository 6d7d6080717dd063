"""Reads: what may be used now, and what people are told about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypedDict

from django.conf import settings
from django.utils import timezone

from inference.completions import Endpoint
from inference.models import Adapter, ModelAlias, Replica, ServedModel, Serving
from inference.places import is_leaving
from inference.routing import Pool

STALE = timedelta(minutes=2)
NOWHERE = "No inference server serves it now."


class ReplicaState(TypedDict):
    name: str
    state: str
    message: str


class InferenceState(TypedDict):
    state: str  # ready | loading | down | failing
    message: str
    replicas: list[ReplicaState]


class ServedState(TypedDict):
    name: str
    kind: str
    selftest: str
    detail: str


class ReplicaDetail(ReplicaState):
    url: str
    places: int | None  # for adapters; None: the server has not said
    checked_at: datetime | None
    served: list[ServedState]


class InferenceDetail(TypedDict):
    replicas: list[ReplicaDetail]


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """A served name that is or was known. message: why it is not available, for people."""

    id: int
    name: str
    kind: str
    available: bool
    message: str


def inference_state() -> InferenceState:
    """Whether completions can be had now, in one word and one sentence."""
    replicas = list(Replica.objects.filter(enabled=True).order_by("pk"))
    state, message = _overall(replicas)
    return {
        "state": state,
        "message": message,
        "replicas": [{"name": r.name, "state": r.state, "message": r.message} for r in replicas],
    }


def inference_detail() -> InferenceDetail:
    """Every configured replica with what it serves."""
    replicas = Replica.objects.filter(enabled=True).order_by("pk")
    return {
        "replicas": [
            {
                "name": replica.name,
                "url": replica.url,
                "places": replica.places,
                "state": replica.state,
                "message": replica.message,
                "checked_at": replica.checked_at,
                "served": [
                    {
                        "name": serving.served_model.name,
                        "kind": serving.served_model.kind,
                        "selftest": serving.selftest,
                        "detail": serving.detail,
                    }
                    for serving in _present(replica)
                ],
            }
            for replica in replicas.prefetch_related("servings__served_model")
        ]
    }


def available_models() -> list[AvailableModel]:
    """All names ever served, the available ones first, then base models before adapters.

    A zero adapter is not among them: it is its base.
    """
    adapters = Adapter.objects.all()
    zeros = {each.served_model_id: each.base for each in adapters if each.zero}
    rests = {
        each.served_model_id: each.base
        for each in adapters
        if each.state == Adapter.State.SERVING and not each.zero
    }
    models = ServedModel.objects.prefetch_related("servings__replica").in_bulk()
    rows = [
        _availability(model, [models[key] for key, base in zeros.items() if base == model.name])
        for model in models.values()
        if model.pk not in zeros
    ]
    bases = {row.name for row in rows if row.available and row.kind == ServedModel.Kind.BASE}
    rows = [_when_asked(row) if rests.get(row.id) in bases else row for row in rows]
    return sorted(rows, key=lambda row: (not row.available, row.kind != "base", row.name))


def _when_asked(row: AvailableModel) -> AvailableModel:
    """One that has given its place to another comes back when it is asked."""
    away = row.message == NOWHERE
    return replace(row, available=True, message="") if away else row


def answers_as(alias: str, content_hash: str) -> bool:
    """Whether the alias means this adapter, and who asks by it gets an answer."""
    meant = ModelAlias.objects.filter(name=alias, current__content_hash=content_hash)
    model_id = meant.values_list("current__served_model", flat=True).first()
    return any(row.available for row in available_models() if row.id == model_id)


def bases_offered() -> list[str]:
    """Names of the base models that a configured server serves, as far as it was last seen."""
    bases = ServedModel.objects.filter(
        kind=ServedModel.Kind.BASE, servings__present=True, servings__replica__enabled=True
    )
    return list(bases.order_by("pk").distinct().values_list("name", flat=True))


def default_base() -> ServedModel | None:
    """The base model that is offered now, or else was last; None before one was ever seen."""
    bases = ServedModel.objects.filter(kind=ServedModel.Kind.BASE).order_by("pk")
    return bases.filter(name__in=bases_offered()).first() or bases.last()


def why_too_long(max_tokens: int) -> str:
    """Why no server can write so long an answer, and what to do; "" when one can.

    Nothing is known before every configured server has told the length of its context.
    """
    contexts = list(Replica.objects.filter(enabled=True).values_list("max_model_len", flat=True))
    known = [context for context in contexts if context is not None]
    if not known or len(known) < len(contexts) or max_tokens < max(known):
        return ""
    return (
        f"The inference servers take {max(known)} tokens, prompt and answer together; ask for "
        f"fewer than that, not {max_tokens}."
    )


def meaning_of(alias: str) -> ServedModel | None:
    """The model that the alias means now: a base where it means no adapter, or was never set."""
    row = ModelAlias.objects.select_related("current__served_model").filter(name=alias).first()
    if row is None:
        return default_base()
    if row.current is not None:
        return row.current.served_model
    return ServedModel.objects.filter(name=row.base).first() or default_base()


def ready_endpoints() -> list[Endpoint]:
    """Replicas that are ready, each with the names that passed their self-test there."""
    replicas = Replica.objects.filter(enabled=True, state=Replica.State.READY).order_by("pk")
    adapters = list(Adapter.objects.select_related("served_model"))
    aliases = {
        alias.name: alias.current.served_model.name if alias.current else alias.base
        for alias in ModelAlias.objects.select_related("current__served_model")
    }
    return [
        _endpoint(replica, adapters, aliases)
        for replica in replicas.prefetch_related("servings__served_model")
    ]


def _endpoint(
    replica: Replica, adapters: Sequence[Adapter], aliases: Mapping[str, str]
) -> Endpoint:
    """A base is asked for through its zero adapter where that is loaded.

    In a batch with adapters, vLLM on the CPU answers base rows with the adapter in its last place,
    one that was unloaded included; and vLLM does not tell whether it runs on a CPU.
    """
    passed = {
        serving.served_model.name
        for serving in _present(replica)
        if serving.selftest == Serving.Selftest.PASSED and not is_leaving(serving)
    }
    zeros = [(a.base, a.served_model.name) for a in adapters if a.zero]
    answers_as = {base: name for base, name in zeros if name in passed}
    for alias, target in aliases.items():
        target = answers_as.get(target, target)
        if target in passed and alias not in passed:
            answers_as[alias] = target
    return Endpoint(
        name=replica.name,
        url=replica.url,
        models=frozenset(passed | answers_as.keys()),
        chat_template_hash=replica.chat_template_hash,
        max_model_len=replica.max_model_len,
        answers_as=answers_as,
        adapters={a.served_model.name: a.content_hash for a in adapters},
        stop_token_ids=tuple(replica.stop_token_ids),
        chat_template_kwargs=settings.CHAT_TEMPLATE_KWARGS,
    )


def ready_pool() -> Pool:
    """A pool over `ready_endpoints` as the settings say. `Pool.refresh` keeps it up to date."""
    return Pool(
        ready_endpoints(),
        api_key=settings.INFERENCE_API_KEY,
        concurrency=settings.INFERENCE_CONCURRENCY,
    )


def without_address(replica: Replica) -> str:
    """What is said of a replica, for those who do not run it: its name is where it is."""
    return replica.message.replace(f" {replica.name}", "")


def _present(replica: Replica) -> list[Serving]:
    servings = [serving for serving in replica.servings.all() if serving.present]
    return sorted(servings, key=lambda s: (s.served_model.kind != "base", s.served_model.name))


def _overall(replicas: list[Replica]) -> tuple[str, str]:
    if not replicas:
        return "down", "No inference server is known yet. Is the worker running?"
    times = [time for r in replicas if (time := r.checked_at or r.awaited_since) is not None]
    if times and timezone.now() - max(times) < STALE:
        for state in ("ready", "loading", "unknown", "failing", "down"):
            if found := [r for r in replicas if r.state == state]:
                return ("loading" if state == "unknown" else state), without_address(found[0])
    return "failing", "The inference servers are not being checked. Are worker and beat running?"


def _availability(model: ServedModel, zeros: Sequence[ServedModel]) -> AvailableModel:
    known = [serving for each in (model, *zeros) for serving in each.servings.all()]
    servings = [
        s
        for s in known
        if s.replica.enabled and (s.present or s.selftest == Serving.Selftest.FAILED)
    ]
    usable = [
        s
        for s in servings
        if s.present
        and s.selftest == Serving.Selftest.PASSED
        and s.replica.state == Replica.State.READY
    ]
    message = "" if usable else _why_not(servings)
    return AvailableModel(model.pk, model.name, model.kind, bool(usable), message)


def _why_not(servings: list[Serving]) -> str:
    """The most hopeful reason first."""
    if not servings:
        return NOWHERE
    for serving in servings:
        if serving.replica.state != Replica.State.READY:
            return without_address(serving.replica)
        if serving.selftest == Serving.Selftest.PENDING:
            return serving.detail or "It is being checked."
    return servings[0].detail
