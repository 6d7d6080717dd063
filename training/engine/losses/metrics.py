"""What a step tells of its pairs beside the loss: sums and counts, to be added up over packs."""

from torch import Tensor

from training.engine.losses.indices import Pairs

Mean = tuple[Tensor, Tensor]


def pair_metrics(scores: Tensor, pairs: Pairs) -> dict[str, Mean]:
    """Sum and count of each metric over the strict pairs; ties have no right answer.

    scores: (C,) rewards or implicit rewards. `accuracy`: 1 where the winner scores higher, 0.5
    where both score the same. `margin`: by how much it does. `chosen`, `rejected`: both scores.
    Every value is a scalar tensor without a gradient, on the device of the scores.
    """
    scores, strict = scores.detach().float(), pairs.strict.float()
    chosen, rejected = scores[pairs.winners], scores[pairs.losers]
    right = (chosen > rejected).float() + 0.5 * (chosen == rejected).float()
    values = {
        "accuracy": right,
        "margin": chosen - rejected,
        "chosen": chosen,
        "rejected": rejected,
    }
    count = strict.sum()
    return {name: ((value * strict).sum(), count) for name, value in values.items()}
