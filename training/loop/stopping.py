"""When a blind A/B round may end: a rule that stays valid however often one looks.

People rank the candidate's answer against the incumbent's, one prompt a ranking. Ties say nothing
of who is better and are left out, as in a sign test: of the n rankings that decide, the candidate
wins s. Were its chance of winning p, the mixture of likelihoods under a uniform prior over the
likelihood at p,

    M_n(p) = B(1 + s, 1 + n - s) / (p^s (1 - p)^(n - s)),

would be a martingale that starts at 1. By Ville's inequality it ever reaches 1/α with a chance of
at most α, so {p: M_n(p) < 1/α} holds the true p at all n at once with a chance of at least 1 - α:
a confidence sequence, which may be looked at after every ranking. (H. Robbins, "Statistical methods
related to the law of the iterated logarithm", Annals of Mathematical Statistics 41, 1970; S. R.
Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
sequences", Annals of Statistics 49, 2021, on the beta-binomial mixture.)

The round ends when the sequence excludes 1/2, or after as many rankings as the policy allows.
"""

from dataclasses import dataclass
from math import comb, lgamma, log

METHOD = "beta-binomial mixture confidence sequence, ties left out"
ONE_IN = 20  # α = 1/20: 95%
STEPS_OF_BISECTION = 60


@dataclass(frozen=True, slots=True)
class Standing:
    """Rankings of an A/B round so far, as the candidate sees them."""

    wins: int = 0
    ties: int = 0
    losses: int = 0

    @property
    def rankings(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def win_rate(self) -> float | None:
        """A tie is half a win; None before the first ranking."""
        return (self.wins + self.ties / 2) / self.rankings if self.rankings else None


def excludes_half(standing: Standing) -> bool:
    """Whether one side is better for sure: M_n(1/2) ≥ 1/α, in whole numbers.

    M_n(1/2) = 2^n / ((n + 1) · C(n, s)): eight wins without a loss decide, 256/9 being above 20,
    seven do not (128/8).
    """
    decided = standing.wins + standing.losses
    return bool(2**decided >= ONE_IN * (decided + 1) * comb(decided, standing.wins))


def interval(standing: Standing) -> tuple[float, float]:
    """Ends of the 95% confidence sequence of the share of decided rankings that it wins."""
    wins, losses = standing.wins, standing.losses
    share = wins / (wins + losses) if wins + losses else 0.5
    low = _crossing(wins, losses, 0.0, share) if wins else 0.0
    high = _crossing(wins, losses, 1.0, share) if losses else 1.0
    return low, high


def _crossing(wins: int, losses: int, outside: float, inside: float) -> float:
    """Where log M_n(p) = log 1/α between an excluded p and the likeliest one."""
    mixture = lgamma(1 + wins) + lgamma(1 + losses) - lgamma(2 + wins + losses)
    for _ in range(STEPS_OF_BISECTION):
        middle = (outside + inside) / 2
        likelihood = wins * log(middle) + losses * log(1 - middle)
        if mixture - likelihood >= log(ONE_IN):
            outside = middle
        else:
            inside = middle
    return outside


@dataclass(frozen=True, slots=True)
class Decision:
    """passed: whether the win rate, a tie being half a win, reaches what the policy asks."""

    passed: bool
    text: str


def decide(
    standing: Standing, *, limit: int, min_win_rate: float, over: bool = False
) -> Decision | None:
    """None while the round is to go on. over: no further ranking will come."""
    certain = excludes_half(standing)
    if not (certain or over or standing.rankings >= limit):
        return None
    rate = standing.win_rate
    if rate is None:
        return Decision(False, "Nobody ranked anything in the A/B round.")
    low, high = interval(standing)
    passed = rate >= min_win_rate
    found = (
        f"{standing.wins} won, {standing.ties} tied, {standing.losses} lost: win rate {rate:.0%}"
        f" ({min_win_rate:.0%} is wanted), of those decided {low:.0%} to {high:.0%} (95%)"
    )
    sure = "the candidate is better" if standing.wins > standing.losses else "it is worse"
    why = f"Decided after {standing.rankings} rankings: {sure}" if certain else _why(standing, over)
    return Decision(passed, f"{why}. {found}.")


def _why(standing: Standing, over: bool) -> str:
    ended = "It ended" if over else "It reached its limit"
    return f"{ended} after {standing.rankings} rankings without certainty who is better"
