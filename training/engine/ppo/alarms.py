"""Signs that the actor pleases the reward model and nobody else.

A reward model is a picture of what people like; optimised far enough, its mistakes are what is
learned (Gao et al. 2023). Then the reward rises while what people said is respected less, answers
become long or short, or the distance from the reference runs away.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Changes below these are noise of a batch.
REWARD_ROSE = 0.1  # deviations of the reference's rewards
ACCURACY_FELL = 0.05  # share of held-out pairs
LENGTH_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Start:
    """What the run began with, and the best agreement with people since."""

    reward: float
    length: float
    accuracy: float | None = None

    def with_accuracy(self, accuracy: float) -> "Start":
        best = accuracy if self.accuracy is None else max(self.accuracy, accuracy)
        return Start(self.reward, self.length, best)


def alarms(start: Start, now: Mapping[str, float], *, kl_bound: float | None) -> dict[str, str]:
    """Of what is wrong, by name, a sentence for a person; no numbers, so that it is said once.

    now: metrics of the step: score (scaled), kl (nats an answer), length (tokens), and
    evaluation_accuracy where it was measured.
    """
    found = {}
    rose = now["score"] > start.reward + REWARD_ROSE
    if kl_bound is not None and now["kl"] > kl_bound:
        found["kl"] = (
            "The policy is further from its reference than ppo.kl_bound allows: raise ppo.kl_coef, "
            "set ppo.kl_target, or stop and take an earlier checkpoint."
        )
    accuracy = now.get("evaluation_accuracy")
    fell = None not in (accuracy, start.accuracy) and accuracy < start.accuracy - ACCURACY_FELL  # type: ignore[operator]
    if rose and fell:
        found["accuracy"] = (
            "The reward rises while the policy agrees less with the held-out rankings: it learns "
            "the reward model's mistakes."
        )
    longer = now["length"] / max(start.length, 1.0)
    if rose and (longer > LENGTH_FACTOR or longer < 1 / LENGTH_FACTOR):
        word = "longer" if longer > 1 else "shorter"
        found["length"] = (
            f"The reward rises while answers become much {word}: perhaps the reward model likes "
            "the length and not the answers."
        )
    return found
