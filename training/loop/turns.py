"""When the next turn is due, and why, in words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from training.loop.policy import Trigger
from training.loop.words import counted, moment, spent


@dataclass(frozen=True, slots=True)
class Past:
    """step: number of the last turn, None before the first. since: when it, or the policy, began.

    fresh: comparisons since its snapshot.
    """

    step: int | None
    since: datetime
    fresh: int


@dataclass(frozen=True, slots=True)
class NextTurn:
    """cause: why a turn is due now; empty while none is. needed: None without that trigger."""

    comparisons: int
    needed: int | None
    due_at: datetime | None
    cause: str
    text: str


def next_turn(trigger: Trigger, past: Past, *, active: bool, now: datetime) -> NextTurn:
    """now, past.since: in UTC."""
    due_at = past.since + timedelta(hours=trigger.hours) if trigger.hours else None
    cause = _cause(trigger, past, due_at, now) if active else ""
    return NextTurn(
        comparisons=past.fresh,
        needed=trigger.comparisons,
        due_at=due_at,
        cause=cause,
        text=_text(trigger, past, due_at, now, active=active, due=bool(cause)),
    )


def _cause(trigger: Trigger, past: Past, due_at: datetime | None, now: datetime) -> str:
    new = f"{counted(past.fresh, 'new comparison')}{_since(past)}"
    if trigger.comparisons is not None and past.fresh >= trigger.comparisons:
        return f"{new}; the policy asks for {trigger.comparisons:,}."
    if due_at is not None and now >= due_at and past.fresh:
        return f"{spent(now - past.since)} have passed, with {new}."
    return ""


def _text(
    trigger: Trigger,
    past: Past,
    due_at: datetime | None,
    now: datetime,
    *,
    active: bool,
    due: bool,
) -> str:
    if not active:
        new = f"{counted(past.fresh, 'comparison')} {'is' if past.fresh == 1 else 'are'} new"
        return f"The loop is off: it turns by hand only. {new}{_since(past)}."
    if due:
        return "The next turn begins now."
    ways = []
    if trigger.comparisons is not None:
        missing = trigger.comparisons - past.fresh
        ways.append(f"{counted(missing, 'more comparison')} until the next turn")
    if due_at is not None:
        ways.append(_at(due_at, now, past, first=not ways))
    return f"{', or '.join(ways)}." if ways else "Nothing sets the loop off: it turns by hand only."


def _at(due_at: datetime, now: datetime, past: Past, *, first: bool) -> str:
    if now >= due_at:
        when = f"with the first new comparison, due since {moment(due_at, now)}"
    else:
        when = moment(due_at, now) + ("" if past.fresh else ", if there is a new comparison")
    return f"The next turn begins {when}" if first else when


def _since(past: Past) -> str:
    return f" since step {past.step}" if past.step else ""
