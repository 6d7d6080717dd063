"""How strong each model is, by all comparisons between the answers of two of them.

Bradley & Terry (1952), as in Hunter (2004), eq. 1: i is preferred to j with probability
γi / (γi + γj), here with γ = exp θ. A tie counts half a win for each side. Every model has also won
once and lost once against a model of strength 0: a uniform prior on its chance against that one,
which keeps every θ finite, of a model that won all it played and of one that met no other, too.
The θ that make all of this likeliest are found by Newton's method.

Ratings are on the scale of Elo (1978), on which 400 points are odds of ten to one, with the anchor
at 1000. Their intervals are those of the Bayesian bootstrap (Rubin 1981) over tasks: what people
said of the same answers hangs together, so it is weighted together. In each resample every task,
and every win and loss of the prior, weighs as much as an exponential draw says; so a model that won
all its comparisons has an interval too. All of them are relative to the anchor, which has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

POINTS = 400 / np.log(10)
ANCHORED_AT = 1000.0
RESAMPLES = 500
INTERVAL = (0.025, 0.975)
PRIOR = 1.0  # wins, and as many losses, against a model of strength 0
SEED = 0

# Newton's step is cut so that no two strengths, nor one and the prior's 0, move apart by more. So
# every step makes what was said likelier: on such a way the curvature grows by a factor e at most,
# and the second-order bound (e - 2 < 1) holds.
LONGEST_STEP = 1.0
MOST_STEPS = 5000
NEAR_ENOUGH = 1e-7
RESAMPLES_AT_ONCE = 50

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Tally(NamedTuple):
    """How often the answers of one model were preferred to another's in one task.

    winner, loser: numbers of two different models, from 0; of a tie in either order.
    """

    task: int
    winner: int
    loser: int
    tie: bool
    times: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A model's rating, the 95% interval of its lead over the anchor, and what they rest on."""

    rating: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int


def standings(
    tallies: Sequence[Tally],
    models: int,
    *,
    anchor: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[Standing]:
    """One for each of `models` models, in their order; the same for the same tallies in any order.

    anchor: the model at 1000; without one the mean of all is there. Raises ValueError for a
    tally of a model against itself.
    """
    if not models:
        return []
    columns = np.array(sorted(tallies), np.int64).reshape(-1, len(Tally._fields))
    _, winner, loser, tie, times = columns.T
    if (winner == loser).any():
        raise ValueError("A model was compared with itself, which says nothing of its strength.")
    wins = _matrix(winner, loser, times * (1 - tie), models)
    even = _matrix(winner, loser, times * tie, models)
    even = even + even.T
    best = strengths((wins + even / 2)[None])
    drawn = _resampled(columns, best, resamples, np.random.default_rng(seed))
    low, high = np.quantile(_points(drawn, anchor), INTERVAL, axis=0)
    (rating,) = _points(best, anchor)
    won, tied, lost = wins.sum(axis=1), even.sum(axis=1), wins.sum(axis=0)
    return [
        Standing(
            rating=float(rating[model]),
            low=float(low[model]),
            high=float(high[model]),
            wins=int(won[model]),
            ties=int(tied[model]),
            losses=int(lost[model]),
        )
        for model in range(models)
    ]


def strengths(
    wins: Floats,
    *,
    prior_wins: Floats | float = PRIOR,
    prior_losses: Floats | float = PRIOR,
    start: Floats | None = None,
) -> Floats:
    """(B, n): the likeliest θ by each of B matrices of wins.

    wins: (B, n, n), the weight of i's wins over j at [i, j], a tie as half a win of both.
    prior_wins, prior_losses: (B, n) or one number, above 0, against a model of strength 0.
    start: (B, n), a guess. Raises ArithmeticError if it does not converge.
    """
    games = wins + wins.swapaxes(1, 2)
    won: Floats = wins.sum(axis=2) + prior_wins
    prior_games = np.zeros_like(won) + prior_wins + prior_losses
    theta: Floats = np.zeros_like(won) if start is None else start.copy()
    for _ in range(MOST_STEPS):
        step = _newton(theta, games, won, prior_games)
        apart = step.max(axis=1, initial=0.0) - step.min(axis=1, initial=0.0)
        theta += step / np.maximum(1.0, apart / LONGEST_STEP)[:, None]
        if apart.max() < NEAR_ENOUGH:
            return theta
    raise ArithmeticError("The strengths do not converge. Is a prior 0?")


def _newton(theta: Floats, games: Floats, won: Floats, prior_games: Floats) -> Floats:
    """(B, n): the step to the top of the log-likelihood's second-order approximation."""
    chance = _logistic(theta[:, :, None] - theta[:, None, :])
    against_prior = _logistic(theta)
    gradient = won - (games * chance).sum(axis=2) - prior_games * against_prior
    hessian = -games * chance * (1 - chance)
    diagonal = prior_games * against_prior * (1 - against_prior) - hessian.sum(axis=2)
    each = np.arange(theta.shape[1])
    hessian[:, each, each] += diagonal
    step: Floats = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    return step


def _resampled(
    columns: Integers, best: Floats, resamples: int, draw: np.random.Generator
) -> Floats:
    """(resamples, n): the strengths after each task, win and loss of the prior was weighted anew.

    columns: tallies, one a row. best: (1, n), those without weights.
    """
    models = best.shape[1]
    task, winner, loser, tie, times = columns.T
    tasks, place = np.unique(task, return_inverse=True)
    cells = np.concatenate([winner * models + loser, loser * models + winner])
    shares = np.concatenate([times * (1 - tie / 2), times * tie / 2])
    place = np.concatenate([place, place])
    found = []
    for done in range(0, resamples, RESAMPLES_AT_ONCE):
        size = min(RESAMPLES_AT_ONCE, resamples - done)
        wins = np.empty((size, models * models))
        for row in range(size):
            weights = draw.standard_exponential(len(tasks))
            wins[row] = np.bincount(cells, shares * weights[place], models * models)
        prior_wins, prior_losses = PRIOR * draw.standard_exponential((2, size, models))
        found.append(
            strengths(
                wins.reshape(size, models, models),
                prior_wins=prior_wins,
                prior_losses=prior_losses,
                start=np.repeat(best, size, axis=0),
            )
        )
    return np.concatenate(found)


def _matrix(winner: Integers, loser: Integers, weights: Integers, models: int) -> Floats:
    cells = np.bincount(winner * models + loser, weights, models * models)
    return cells.astype(np.float64).reshape(models, models)


def _points(theta: Floats, anchor: int | None) -> Floats:
    origin = theta.mean(axis=1) if anchor is None else theta[:, anchor]
    points: Floats = ANCHORED_AT + POINTS * (theta - origin[:, None])
    return points


def _logistic(value: Floats) -> Floats:
    chance: Floats = 0.5 * (1 + np.tanh(value / 2))
    return chance
