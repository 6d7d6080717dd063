"""What PPO-ptx goes on predicting while it learns from rewards (Ouyang et al. 2022, eq. 2)."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from training.engine.data import load_demonstrations, load_text
from training.engine.errors import SpecError
from training.engine.evaluation.forgetting import passages_of
from training.engine.groups import Group
from training.engine.methods.measures import MOST_PASSAGES
from training.engine.spec import Data


class Replayed:
    """Groups of one completion each, drawn again for every update."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups

    def __call__(self, seed: tuple[int, ...], many: int) -> list[Group]:
        """Some different ones, as far as there are; the same again from the same seed."""
        draw = np.random.default_rng(seed)
        count = min(max(many, 1), len(self.groups))
        return [self.groups[n] for n in draw.choice(len(self.groups), count, replace=False)]


def read_replayed(data: Data, tokenizer: Any) -> Replayed:
    """Demonstrations; without any, the general text beyond what forgetting is measured on.

    Raises SpecError when there is neither.
    """
    if data.demonstrations:
        found = load_demonstrations(data, tokenizer).train
        return Replayed([group for one in found for group in one.groups])
    groups: list[Group] = []
    if data.general_text:
        with suppress(ValueError):  # a text without two tokens
            groups = passages_of(load_text(data.general_text), tokenizer)[MOST_PASSAGES:]
    if not groups:
        raise SpecError(
            "ppo.ptx_weight: there is nothing to go on predicting.",
            advice=f"Name files in data.demonstrations, or a data.general_text of more than "
            f"{MOST_PASSAGES} passages of 512 tokens; or set ppo.ptx_weight to 0.",
        )
    return Replayed(groups)
