"""The report of an evaluation: what was measured of the run, and both sides' answers compared."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from formats.completions import Completion, alike
from training.evaluation.win_rate import win_rate

Measured = Mapping[str, Any]
COIN = 0.5
NOT_MEASURED = "the run has no measurements"
NO_DATA_REPORT = "the run did not tell what it left out of its data"
NO_ANSWERS = "no prompt was answered by both sides"
NO_JUDGE = "no reward model judged the answers; train one (method reward) and evaluate again"


@dataclass(frozen=True, slots=True)
class Answer:
    """tokens: with the end token. cut_off: it reached max_tokens. reward: None if not judged.

    text: None where it is not known.
    """

    tokens: int
    cut_off: bool
    reward: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """adapter: its number. accuracy: the estimate in its run's measurements, if there is one."""

    adapter: int
    accuracy: Mapping[str, Any] | None

    @property
    def doubt(self) -> str:
        """Why its win rate tells little, for people; "" when it is shown to beat a coin."""
        if self.accuracy is None:
            return (
                "How often the judge is right was not measured: no ranking was held out from it. "
                "Rank held-out prompts too before you rely on its win rate."
            )
        if self.accuracy["low"] > COIN:
            return ""
        found = f"{self.accuracy['value']:.0%} ({self.accuracy['low']:.0%} to "
        found += f"{self.accuracy['high']:.0%})"
        return (
            f"The judge is not shown to beat a coin: it tells {found} of held-out preferences "
            "right, so its win rate tells little. Rank more, or train it longer."
        )


Answers = Sequence[tuple[Answer, Answer]]


def make_report(
    measured: Measured | None,
    answers: Answers,
    judge: Judge | None,
    *,
    left_out: int = 0,
    data_left_out: float | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """As JSON. `missing` says of each part that is null why.

    measured: the run's evaluation.json. answers: of each prompt the candidate's and the
    incumbent's. left_out: prompts that a model could not answer. data_left_out: share of the data's
    completions that the run did not learn from. notes: what a reader should know.
    """
    judged = [pair for sides in answers if (pair := rewards(*sides)) is not None]
    found = win_rate(judged)
    parts: dict[str, Any] = {
        "win_rate": asdict(found) if found else None,
        "judge": asdict(judge) if judge else None,
        "length": _length(answers),
        "rewards": _means(judged) if judged else None,
        "cut_off": _means([(float(a.cut_off), float(b.cut_off)) for a, b in answers]),
        **_lifted(measured or {}),
        "data": None if data_left_out is None else {"left_out": data_left_out},
    }
    return {
        "measured": measured,
        **parts,
        "prompts": len(answers),
        "left_out": left_out,
        "notes": list(notes),
        "missing": _missing(parts, measured, answers, judge),
    }


def rewards(candidate: Answer, incumbent: Answer) -> tuple[float, float] | None:
    """Of identical answers the same one, which is a tie: what differs is the judge's rounding."""
    if candidate.reward is None or incumbent.reward is None:
        return None
    if candidate.text is not None and incumbent.text is not None:
        ours = Completion(candidate.text, candidate.cut_off)
        if alike(ours, Completion(incumbent.text, incumbent.cut_off)):
            return candidate.reward, candidate.reward
    return candidate.reward, incumbent.reward


def _means(pairs: Sequence[tuple[float, float]]) -> dict[str, float] | None:
    if not pairs:
        return None
    candidate, incumbent = zip(*pairs, strict=True)
    return {
        "candidate": sum(candidate) / len(pairs),
        "incumbent": sum(incumbent) / len(pairs),
    }


def _length(answers: Answers) -> dict[str, float | None] | None:
    """Mean tokens of an answer, and the candidate's mean over the incumbent's."""
    means = _means([(float(a.tokens), float(b.tokens)) for a, b in answers])
    if means is None:
        return None
    return {
        **means,
        "ratio": means["candidate"] / means["incumbent"] if means["incumbent"] else None,
    }


def _lifted(measured: Measured) -> dict[str, Any]:
    """What gates look at. Forgetting and KL are in nats a token."""
    return {
        "accuracy": measured.get("accuracy"),
        "kl": (measured.get("kl") or {}).get("per_token"),
        "forgetting": _forgetting(measured),
    }


def _forgetting(measured: Measured) -> dict[str, Any] | None:
    """On general text; where that was not measured, on held-out demonstrations."""
    for source in ("general_text", "demonstrations"):
        if found := measured.get(source):
            return {**found["difference"], "ratio": found["ratio"], "on": source}
    return None


_MEASURED_AS = {"accuracy": "accuracy", "kl": "kl", "forgetting": "general_text"}


def _missing(
    parts: Mapping[str, Any], measured: Measured | None, answers: Answers, judge: Judge | None
) -> dict[str, str]:
    reasons = {}
    for name, part in parts.items():
        if part is not None:
            continue
        if name == "data":
            reasons[name] = NO_DATA_REPORT
        elif name in _MEASURED_AS:
            said = (measured or {}).get("missing", {})
            reasons[name] = said.get(_MEASURED_AS[name], NOT_MEASURED)
        elif name == "judge" or (name in ("win_rate", "rewards") and judge is None):
            reasons[name] = NO_JUDGE
        else:
            reasons[name] = NO_ANSWERS
    return reasons
