"""The Plackett-Luce loss of a whole ranking (DPO appendix A.3, eq. 20; Plackett 1975, Luce 1959).

A ranking is taken as a series of choices: the best of all, then the best of the rest, and so on.
Inside a tier there is no preference: each of its members is chosen against everything in the tiers
below it, and never against its equals. Without ties that is Plackett-Luce exactly, and of two
completions it is the pairwise logistic loss.
"""

import torch
from torch import Tensor

from training.engine.losses.indices import Choices, choices, padded


def plackett_luce(scores: Tensor, tiers: tuple[tuple[int, ...], ...]) -> Tensor:
    """Negative log-likelihood of one ranking, as the mean over the choices that have a rival.

    scores: (K,) implicit rewards, beta * (logp - ref). tiers: indices, best first. Returns a
    scalar; 0 for a single tier, of which no choice was made.
    """
    found = choices(tiers)
    if not found:
        return scores.sum() * 0
    weights = [1.0 / len(found)] * len(found)
    made = padded(found, weights, scores.device)
    return choice_losses(scores, made).mean()


def choice_losses(scores: Tensor, made: Choices) -> Tensor:
    """-log of the probability of each choice, softmax over its set.

    scores: (C,) of all completions of a pack; returns (M,).
    """
    rivals = scores[made.members].masked_fill(~made.present, -torch.inf)
    return torch.logsumexp(rivals, dim=1) - scores[made.chosen]
