"""Losses on two completions at a time: DPO (Rafailov et al. 2023) and IPO (Azar et al. 2023)."""

from torch import Tensor
from torch.nn import functional


def sigmoid(margins: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """-log σ(margin): DPO eq. 7 with soft labels.

    margins: (P,) implicit reward of the winner less that of the loser,
    beta * ((logp_w - ref_w) - (logp_l - ref_l)). targets: (P,) probability that the winner is the
    better one; 0.5 of a tie, which draws the margin to 0. label_smoothing: share of the labels that
    are taken to be flipped (conservative DPO, Mitchell's note of 2023), 0 up to 0.5; a tie stays
    a tie. Returns (P,). For targets of 1 this is what TRL's "sigmoid" computes, and for any
    smoothing what its "aot" does on a batch of one pair.
    """
    right = targets * (1 - label_smoothing) + (1 - targets) * label_smoothing
    won, lost = functional.logsigmoid(margins), functional.logsigmoid(-margins)
    return -(right * won + (1 - right) * lost)


def ipo(deltas: Tensor, targets: Tensor, beta: float) -> Tensor:
    """(delta - 1 / (2 beta))^2: IPO eq. 17, beta being its τ, length-normalised as in TRL.

    deltas: (P,) mean over the winner's tokens of logp - ref, less the same of the loser. targets:
    (P,) as in `sigmoid`; a soft label t wants a delta of (t - 1/2) / beta, as the paper's eq. 10
    does of a probability, so a tie wants 0. Returns (P,).
    """
    return (deltas - (targets - 0.5) / beta) ** 2
