"""The reward model's loss: InstructGPT (Ouyang et al. 2022) eq. 1, Llama 2 (2023) eq. 2."""

from torch import Tensor
from torch.nn import functional


def pairwise(
    scores: Tensor,
    winners: Tensor,
    losers: Tensor,
    targets: Tensor,
    margins: Tensor,
    centering: float = 0.0,
) -> Tensor:
    """-log σ(s_winner - s_loser - margin) of each pair.

    scores: (C,) rewards. winners, losers: (P,) indices. targets: (P,) probability that the winner
    is the better one: 0.5 of a tie. margins: (P,) at least 0; the judgment that wins by target t
    and the opposite one, which has 1 - t, both ask for it, so that naming a pair the other way
    round changes nothing. centering: factor of (s_winner + s_loser)^2, which keeps rewards around
    0 (Eisenstein et al. 2023; TRL's center_rewards_coefficient). Returns (P,).
    """
    won, lost = scores[winners], scores[losers]
    difference = won - lost
    right = functional.logsigmoid(difference - margins)
    wrong = functional.logsigmoid(-difference - margins)
    losses = -(targets * right + (1 - targets) * wrong)
    return losses + centering * (won + lost) ** 2 if centering else losses
