"""How often a candidate's answer is better than the incumbent's."""

from collections.abc import Iterable
from dataclasses import dataclass

from training.engine.evaluation.estimates import wilson

METHOD = "wilson"


@dataclass(frozen=True, slots=True)
class WinRate:
    """Share of prompts won, a tie being half a win, with its 95% interval.

    method: Wilson's score interval (1927) of `value` with as many trials as there are prompts. One
    answer of each side to each prompt, so prompts are independent. With ties it is too wide rather
    than too narrow: on numbers between 0 and 1 none has a larger variance than wins and losses
    have.
    """

    value: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    prompts: int
    method: str = METHOD


def win_rate(rewards: Iterable[tuple[float, float]]) -> WinRate | None:
    """rewards: of each prompt the candidate's and the incumbent's; None without any.

    Equal rewards are a tie.
    """
    wins = ties = losses = 0
    for candidate, incumbent in rewards:
        wins += candidate > incumbent
        ties += candidate == incumbent
        losses += candidate < incumbent
    return of_counts(wins, ties, losses)


def of_counts(wins: int, ties: int, losses: int) -> WinRate | None:
    """The same, when only the outcomes are known, as of people's comparisons."""
    prompts = wins + ties + losses
    if not prompts:
        return None
    value = (wins + ties / 2) / prompts
    low, high = wilson(value, prompts)
    # By rounding the ends may miss a value of 0 or 1.
    low, high = min(low, value), max(high, value)
    return WinRate(value, low, high, wins, ties, losses, prompts)
