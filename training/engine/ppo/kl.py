"""How far the actor is from its reference token by token, and what that costs it.

The estimators are Schulman's ("Approximating KL divergence", 2020), on tokens that the actor
sampled. They estimate a value; what a token pays is always k1. As a reward k1 has in expectation
the gradient of KL(actor || reference). k3 = k1 + (r - 1) adds that of KL(reference || actor) the
other way round, and near the reference the two cancel: nothing would hold the actor there.
The cost of a nat is fixed, or follows a target (Ziegler et al. 2019, section 2.2).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from training.engine.evaluation.drift import k3

Estimator = Callable[[Tensor, Tensor], Tensor]

# A batch that is far off changes the coefficient no faster than this (Ziegler et al., eq. 4).
MOST_ERROR = 0.2


def k1(policy: Tensor, reference: Tensor) -> Tensor:
    """-log r with r = q / p, (N,): unbiased, of high variance, negative for single tokens.

    policy, reference: (N,) log-probabilities of tokens sampled from the policy.
    """
    return policy - reference


ESTIMATORS: dict[str, Estimator] = {"k1": k1, "k3": k3}


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a nat of divergence from the reference costs in rewards.

    coefficient: β now. target: nats an answer to keep to; None leaves β as it is. horizon: answers
    in which β would change by the whole error, MOST_ERROR at most.
    """

    coefficient: float
    target: float | None = None
    horizon: int = 10_000

    def after(self, divergence: float, answers: int) -> "Penalty":
        """β after a step: e = clip(KL / target - 1, ±0.2), β (1 + e n / horizon).

        divergence: mean nats an answer. answers: n, sampled in the step.
        """
        if self.target is None:
            return self
        error = min(max(divergence / self.target - 1, -MOST_ERROR), MOST_ERROR)
        return replace(self, coefficient=self.coefficient * (1 + error * answers / self.horizon))
