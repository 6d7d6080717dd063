"""The scalar head of a reward model, kept in a file of its own beside the adapter.

Elsewhere the head is one of PEFT's `modules_to_save`, and users lost it on loading: the adapter
came back with a fresh random head and no error. Here it is a module that is saved and loaded by
name, and a file that does not fit raises.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.engine.errors import SpecError

FILE = "reward_head.safetensors"
_KEY = "score.weight"  # the name that transformers' sequence classifiers give it


class RewardHead(nn.Module):
    """A linear map to one number, without bias: only differences of rewards are learned.

    Float32 whatever the base is. Initialised from N(0, 1 / (size + 1)) (Stiennon et al. 2020; Huang
    et al. 2024, detail 5): fresh rewards have a variance near 1 for normalised hidden states. The
    same seed gives the same head.
    """

    def __init__(self, hidden_size: int, *, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        weight = torch.randn(1, hidden_size, generator=draw) / (hidden_size + 1) ** 0.5
        self.weight = nn.Parameter(weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., D) hidden states in any precision -> (...,) rewards in float32."""
        with torch.autocast(hidden.device.type, enabled=False):
            return F.linear(hidden.float(), self.weight).squeeze(-1)


def save_head(head: RewardHead, folder: Path) -> None:
    """Raises OSError when it cannot be written."""
    weight = head.weight.detach().to("cpu", torch.float32).contiguous()
    save_file({_KEY: weight}, folder / FILE, metadata={"format": "pt"})


def load_head(folder: Path) -> RewardHead:
    """Raises SpecError when the folder has no head or a broken one."""
    path = folder / FILE
    if not path.is_file():
        raise SpecError(
            f"{folder.name} is no reward model: it has no {FILE}.",
            advice="Give an adapter that was trained with the method reward.",
        )
    try:
        weight = load_file(path)[_KEY]
    except (SafetensorError, KeyError, OSError) as problem:
        raise SpecError(
            f"The reward head of {folder.name} cannot be read: {problem}",
            advice="Copy the adapter again.",
        ) from problem
    head = RewardHead(weight.shape[-1])
    with torch.no_grad():
        head.weight.copy_(weight)
    return head
