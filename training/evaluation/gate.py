"""The gate: whether a candidate is good enough, threshold by threshold, in words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Bound = Annotated[float, Field(strict=True)]
Share = Annotated[Bound, Field(ge=0, le=1)]
Amount = Annotated[Bound, Field(ge=0, le=1000)]
Change = Annotated[Bound, Field(ge=-100, le=100)]


class Gate(BaseModel):
    """Thresholds of a project's loop policy; one that is None is not looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_win_rate: Share | None = Field(
        default=None, description="Share of held-out prompts on which the candidate wins."
    )
    min_win_rate_low: Share | None = Field(
        default=None, description="Lower end of the win rate's 95% interval."
    )
    min_accuracy: Share | None = Field(
        default=None, description="Held-out preferences that the candidate agrees with."
    )
    max_kl: Amount | None = Field(
        default=None, description="Drift from the reference, in nats a token."
    )
    max_forgetting: Change | None = Field(
        default=None,
        description="Nats a token by which ordinary text becomes less likely than for the base.",
    )
    max_length_ratio: Amount | None = Field(
        default=None, description="Mean tokens of an answer over those of the incumbent's."
    )
    max_left_out: Share | None = Field(
        default=None, description="Share of the data's answers that the run left out."
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """name: of the threshold. value: None when it was not measured, which does not pass."""

    name: str
    passed: bool
    text: str
    value: float | None
    bound: float


@dataclass(frozen=True, slots=True)
class _Measure:
    """Where a report has what a threshold is about, and how people say it."""

    part: str
    key: str
    title: str
    shown: Callable[[float], str]
    at_least: bool


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _nats(value: float) -> str:
    return f"{value:.3f} nats a token"


def _times(value: float) -> str:
    return f"{value:.2f} times the incumbent's"


_MEASURES = {
    "min_win_rate": _Measure("win_rate", "value", "Win rate", _percent, True),
    "min_win_rate_low": _Measure("win_rate", "low", "Lower end of the win rate", _percent, True),
    "min_accuracy": _Measure("accuracy", "value", "Held-out accuracy", _percent, True),
    "max_kl": _Measure("kl", "value", "KL from the reference", _nats, False),
    "max_forgetting": _Measure("forgetting", "value", "Forgetting", _nats, False),
    "max_length_ratio": _Measure("length", "ratio", "Length of answers", _times, False),
    "max_left_out": _Measure("data", "left_out", "Left out of the data", _percent, False),
}


def check(report: Mapping[str, Any], gate: Gate) -> list[Verdict]:
    """A verdict for each threshold of the gate, in its order; none for a gate without any.

    report: of `make_report`.
    """
    return [
        _verdict(name, measure, bound, report)
        for name, measure in _MEASURES.items()
        if (bound := getattr(gate, name)) is not None
    ]


def _verdict(name: str, measure: _Measure, bound: float, report: Mapping[str, Any]) -> Verdict:
    part = report.get(measure.part) or {}
    value = part.get(measure.key)
    wanted = f"at {'least' if measure.at_least else 'most'} {measure.shown(bound)} is wanted"
    if value is None:
        why = report.get("missing", {}).get(measure.part, "there is no interval")
        return Verdict(
            name, False, f"{measure.title}: not measured, and {wanted}. Why: {why}.", None, bound
        )
    passed = value >= bound if measure.at_least else value <= bound
    verdict = "" if passed else f" It is too {'low' if measure.at_least else 'high'}."
    text = f"{measure.title}: {measure.shown(value)}{_interval(measure, part)}; {wanted}.{verdict}"
    return Verdict(name, passed, text, value, bound)


def _interval(measure: _Measure, part: Mapping[str, Any]) -> str:
    low, high = part.get("low"), part.get("high")
    if measure.key != "value" or low is None or high is None:
        return ""
    number = f"{low:.1%} to {high:.1%}" if measure.shown is _percent else f"{low:.3f} to {high:.3f}"
    return f" (95%: {number})"
