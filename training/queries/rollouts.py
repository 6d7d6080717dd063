"""The answers that a run learned from, as people look at them."""

from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

from django.db.models import Count, F, Max, Q, QuerySet

from annotate.errors import NotFound
from training.models import RunRollout, TrainedAdapter, TrainingRun
from training.runs.assembly import ADAPTERS
from training.runs.rollout_keeping import ANSWERS_A_STEP, CUT, FIRST, MOST

EXCERPT = 280
Shown = dict[str, Any]
Order = Literal["newest", "reward_high", "reward_low", "kl_high", "longest", "shortest"]
ORDERS: tuple[Order, ...] = get_args(Order)


class Sorting(NamedTuple):
    """By what a list is sorted; equal ones as they were written."""

    field: str
    falling: bool


SORTINGS: dict[Order, Sorting] = {
    "newest": Sorting("step", falling=True),
    "reward_high": Sorting("reward", falling=True),
    "reward_low": Sorting("reward", falling=False),
    "kl_high": Sorting("kl", falling=True),
    "longest": Sorting("tokens", falling=True),
    "shortest": Sorting("tokens", falling=False),
}


class After(NamedTuple):
    """The last answer of the page before: what it was sorted by, and its id."""

    value: float
    pk: int


def of_run(run: TrainingRun, *, step: int | None = None) -> QuerySet[RunRollout]:
    """Its answers, or those of a step, without what the critic said of them."""
    rows = RunRollout.objects.filter(run=run).defer("values", "rewards")
    return rows if step is None else rows.filter(step=step)


def page(
    rows: QuerySet[RunRollout], order: Order, after: After | None, limit: int
) -> tuple[list[RunRollout], After | None]:
    """Some answers in an order, and after which one the next page begins; None: there is none."""
    field, falling = SORTINGS[order]
    if after is not None:
        beyond = {f"{field}__{'lt' if falling else 'gt'}": after.value}
        rows = rows.filter(Q(**beyond) | Q(**{field: after.value}, pk__gt=after.pk))
    by = F(field).desc() if falling else F(field).asc()
    found = list(rows.order_by(by, "pk")[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], After(float(getattr(last, field)), last.pk)


def row(rollout: RunRollout) -> Shown:
    """What a list shows of it."""
    return {
        "id": rollout.pk,
        "step": rollout.step,
        "number": rollout.number,
        "prompt_excerpt": _excerpt(rollout.prompt[-1]["content"] if rollout.prompt else ""),
        "answer_excerpt": _excerpt(rollout.answer),
        "finished": rollout.finished,
        "tokens": rollout.tokens,
        "reward": rollout.reward,
        "score": rollout.score,
        "kl": rollout.kl,
    }


def one(run: TrainingRun, pk: int) -> RunRollout:
    """Raises NotFound."""
    rollout = RunRollout.objects.filter(run=run, pk=pk).first()
    if rollout is None:
        raise NotFound
    return rollout


def detail(run: TrainingRun, rollout: RunRollout) -> Shown:
    """Everything about it."""
    return {
        **row(rollout),
        "prompt": rollout.prompt,
        "answer": rollout.answer,
        "rewards": _by_source(run, rollout.rewards),
        "values": rollout.values if _has_critic(run) else [],
        "shortened": rollout.shortened,
    }


def kept(run: TrainingRun) -> Shown:
    """Which steps there are, and what else a reader has to know of the whole."""
    rows = RunRollout.objects.filter(run=run)
    steps = list(rows.order_by("step").values("step").annotate(answers=Count("pk")))
    return {
        "steps": steps,
        "answers": sum(one["answers"] for one in steps),
        "newest": rows.aggregate(newest=Max("pk"))["newest"],
        "gap": _gap([one["step"] for one in steps]),
        "limits": {"answers": MOST, "first": FIRST, "of_step": ANSWERS_A_STEP},
    }


def _gap(steps: list[int]) -> Shown | None:
    """The steps that were dropped from the middle."""
    gaps = ((b - a, a + 1, b - 1) for a, b in pairwise(steps) if b > a + 1)
    _, first, last = max(gaps, default=(0, 0, 0))
    return {"first": first, "last": last} if first else None


def _by_source(run: TrainingRun, rewards: dict[str, float]) -> list[Shown]:
    """Each with the adapter that gave it, where it was one."""
    section = run.spec.get("ppo") or {}
    sources, weights = section.get("rewards") or [], section.get("reward_weights") or []
    hashes = [source.removeprefix(f"{ADAPTERS}/") for source in sources]
    adapters = TrainedAdapter.objects.filter(project=run.project_id, content_hash__in=hashes)
    numbers = dict(adapters.order_by("-number").values_list("content_hash", "number"))
    found = []
    for name, value in rewards.items():
        place = _place(name, sources)
        found.append(
            {
                "name": name.removeprefix("reward_") if place is None else sources[place],
                "adapter": None if place is None else numbers.get(hashes[place]),
                "weight": weights[place] if place is not None and place < len(weights) else 1.0,
                "value": value,
            }
        )
    return found


def _place(name: str, sources: list[str]) -> int | None:
    """Among the spec's rewards: the engine calls adapters reward_<n> and functions by theirs."""
    if name in sources:
        return sources.index(name)
    called = name.removeprefix("reward_")
    if called.isdecimal() and int(called) < len(sources):
        return int(called)
    functions = [source.rpartition(":")[2] if ":" in source else None for source in sources]
    return functions.index(called) if called in functions else None


def _has_critic(run: TrainingRun) -> bool:
    section = run.spec.get("ppo") or {}
    return bool(section.get("baseline", "critic") == "critic")


def _excerpt(text: str) -> str:
    """The beginning, in one line."""
    short = " ".join(text[: 4 * EXCERPT].split())
    return short if len(short) <= EXCERPT else short[: EXCERPT - 1] + CUT
