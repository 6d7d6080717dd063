"""What a stage says when it has looked: wait, go on, fail, or the turn is over."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wait:
    """text: what for; empty: what it said last still holds."""

    text: str


@dataclass(frozen=True, slots=True)
class GoOn:
    """text: what came of the stage that ends. stage: value of a Stage; None: the next that the
    policy wants.
    """

    text: str
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """text: why, and what to do before a retry."""

    text: str


@dataclass(frozen=True, slots=True)
class Over:
    """text: what came of the last stage."""

    text: str


Outcome = Wait | GoOn | Failed | Over
