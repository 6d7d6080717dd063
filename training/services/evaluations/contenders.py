"""The two sides of an evaluation as they are served, for as long as they are needed."""

from dataclasses import dataclass

from django.db.models import Q

from inference.adapters import drop_alias, loaded_adapter, register_adapter, serve_adapter
from inference.errors import SwapRefused
from inference.models import Adapter, ModelAlias
from training.models import Evaluation, EvaluationState, LoopStep, Side, Stage, TrainedAdapter
from training.models.loop import UNFINISHED_STEPS

CANDIDATE, INCUMBENT = "candidate", "incumbent"


@dataclass(frozen=True, slots=True)
class Contender:
    """name: versioned, or the base's. content_hash: of the adapter, "" of the base.

    stands_in: hashes of what answers in place of the base and is it: its zero adapter.
    """

    name: str
    content_hash: str = ""
    stands_in: frozenset[str] = frozenset()


def serve(evaluation: Evaluation) -> None:
    """Load what is not served yet. An incumbent that is replaced meanwhile stays loaded too.

    Raises SwapRefused, also when the files of an adapter are lost, and InferenceError.
    """
    _refuse_beside_people(evaluation)
    for adapter, alias in _adapters(evaluation):
        known = loaded_adapter(content_hash=adapter.content_hash, base=adapter.base)
        if known is None:
            known = register_adapter(content_hash=adapter.content_hash, base=adapter.base).pk
        serve_adapter(alias=alias, base=adapter.base, adapter_id=known)


def served(evaluation: Evaluation) -> dict[Side, Contender] | None:
    """Both sides as `serve` left them; None when one of them is not served, or not any more."""
    found = {}
    for side, (adapter, alias) in zip(Side, _adapters(evaluation), strict=False):
        meant = ModelAlias.objects.filter(name=alias, current__content_hash=adapter.content_hash)
        row = meant.select_related("current__served_model").first()
        if row is None:
            return None
        found[side] = Contender(str(row.current), adapter.content_hash)
    return {Side.INCUMBENT: _base(evaluation.candidate.base), **found}


def _adapters(evaluation: Evaluation) -> list[tuple[TrainedAdapter, str]]:
    """The candidate, then the incumbent unless it is the base; each with its alias."""
    slug = evaluation.project.slug
    found = [(evaluation.candidate, f"{slug}/{CANDIDATE}")]
    if evaluation.incumbent is not None:
        found.append((evaluation.incumbent, f"{slug}/{INCUMBENT}"))
    return found


def _base(name: str) -> Contender:
    zeros = Adapter.objects.filter(base=name, zero=True)
    return Contender(name, stands_in=frozenset(zeros.values_list("content_hash", flat=True)))


def _refuse_beside_people(evaluation: Evaluation) -> None:
    """The alias of an A/B round's candidate is not taken away from it."""
    step = _with_people(evaluation.project.slug)
    if step and step.evaluation and step.evaluation.candidate_id != evaluation.candidate_id:
        raise SwapRefused(
            f"People compare the candidate of the loop's step {step.number} at present. "
            "The evaluation goes on when they are done."
        )


def release(slug: str) -> None:
    """Drop the aliases that no evaluation and no A/B round of the project needs any more."""
    answering = Q(state__in=(EvaluationState.QUEUED, EvaluationState.ANSWERING))
    if Evaluation.objects.filter(answering, project__slug=slug).exists():
        return
    drop_alias(alias=f"{slug}/{INCUMBENT}")
    if _with_people(slug) is None:
        drop_alias(alias=f"{slug}/{CANDIDATE}")


def release_forgotten() -> None:
    """The same for what a killed or canceled job left."""
    left = Q(name__endswith=f"/{CANDIDATE}") | Q(name__endswith=f"/{INCUMBENT}")
    names = ModelAlias.objects.filter(left).values_list("name", flat=True)
    for slug in sorted({name.rpartition("/")[0] for name in names}):
        release(slug)


def _with_people(slug: str) -> LoopStep | None:
    steps = LoopStep.objects.filter(project__slug=slug, state__in=UNFINISHED_STEPS)
    return steps.filter(stage=Stage.HUMANS).select_related("evaluation").first()
