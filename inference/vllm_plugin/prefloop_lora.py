"""A plugin of vLLM: LoRA on the CPU, a matrix product for each adapter of a batch.

vLLM's own (`torch_ops.lora_ops`, 0.32) copies the adapter's matrices for every token, which takes
most of the time of a request. And tokens without an adapter, whose index is -1, get the matrices of
the last place: base requests beside an adapter are answered by it. Here each adapter's rows are
multiplied together, and rows without an adapter are left as they are.

vLLM finds it by the entry point in the folder beside, once this folder is on PYTHONPATH
(`inference.local`); it runs inside of the server and imports nothing of Prefloop. Without it
everything works as before: base requests go through the zero adapter, and the self-test of every
replica proves who answers.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.platforms import current_platform

# A place of adapters and its rows in the batch; None: all rows.
Segment = tuple[int, Tensor | None]


def register() -> None:
    """May be called several times, in each of the server's processes."""
    if current_platform.is_cpu():
        name = f"{__name__}.{PunicaWrapperSegments.__qualname__}"
        type(current_platform).get_punica_wrapper = classmethod(lambda cls: name)


def segments_of(places: Tensor) -> list[Segment]:
    """places: (T,) place of each token's adapter; -1: it has none."""
    found = torch.unique(places).tolist()
    if len(found) == 1:
        return [(found[0], None)] if found[0] >= 0 else []
    return [(place, (places == place).nonzero().squeeze(1)) for place in found if place >= 0]


class PunicaWrapperSegments(PunicaWrapperCPU):
    """As vLLM's, but for `add_lora_linear`. The rows of a step are sorted out once for all layers.

    Model layers with LoRA run eagerly on the CPU (CpuPlatform.check_and_update_config), so a list
    on this object is read anew at every step.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._segments: list[Segment] = []
        self._tokens = 0

    def update_metadata(self, *args: Any, **options: Any) -> None:
        super().update_metadata(*args, **options)
        places = self.token_lora_indices
        self._tokens = len(places)
        self._segments = segments_of(places)

    def add_lora_linear(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: tuple[Tensor, ...],
        lora_b_stacked: tuple[Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **options: Any,
    ) -> None:
        """y: (T, sum of the slices), changed in place. x: (T, D).

        lora_a_stacked: a slice's (places, 1, R, D); lora_b_stacked: (places, 1, slice, R).
        """
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for place, rows in self._segments:
            if rows is None and self._tokens == len(x):
                taken = x
            else:  # what pads a batch has no adapter
                rows = torch.arange(self._tokens) if rows is None else rows
                taken = x[rows]
            start = 0
            for a, b, size in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                added = linear(linear(taken, a[place, 0]), b[place, 0])
                if scale != 1:
                    added *= scale
                part = y[:, start : start + size]
                if rows is None:
                    part += added
                else:
                    part.index_add_(0, rows, added)
                start += size
