"""The plugin of vLLM: each row of a batch gets its own adapter's product, and base rows none."""

import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inference.local import PLUGIN, on_gpu

pytestmark = pytest.mark.skipif(on_gpu(), reason="the backend of the CPU is not installed")

PLACES, RANK, WIDTH, SLICES = 4, 8, 32, (16, 4, 4)
NONE = 0  # id of "no adapter"


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    """As vLLM imports it: from a folder on the path."""
    spec = importlib.util.spec_from_file_location("prefloop_lora", PLUGIN / "prefloop_lora.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prefloop_lora"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stacked() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    draw = torch.Generator().manual_seed(7)
    a = tuple(torch.randn(PLACES, 1, RANK, WIDTH, generator=draw) for _ in SLICES)
    b = tuple(torch.randn(PLACES, 1, size, RANK, generator=draw) for size in SLICES)
    return a, b


def wrapper(made: Any, ids: Sequence[int], *, prefill: bool) -> Any:
    from vllm.lora.layers import LoRAMapping

    found = made(256, 64, "cpu")
    mapping = LoRAMapping(tuple(ids), tuple(ids), is_prefill=prefill)
    found.update_metadata(mapping, [1, 2, 3, 4], PLACES, 1000)
    return found


def by_hand(ids: Sequence[int], x: Tensor, y: Tensor, a: Any, b: Any) -> Tensor:
    """Row by row, as the method is defined: y + B A x of the row's own adapter."""
    rows = []
    for row, known, place in zip(x, y, ids, strict=True):
        parts = [
            two[place - 1, 0] @ (one[place - 1, 0] @ row) for one, two in zip(a, b, strict=True)
        ]
        rows.append(known if place == NONE else known + torch.cat(parts))
    return torch.stack(rows)


@settings(max_examples=50, deadline=None)
@given(ids=st.lists(st.integers(NONE, PLACES), min_size=1, max_size=24), prefill=st.booleans())
def test_each_row_gets_its_own(
    plugin: ModuleType, stacked: tuple[Any, Any], ids: list[int], prefill: bool
) -> None:
    draw = torch.Generator().manual_seed(len(ids))
    x = torch.randn(len(ids), WIDTH, generator=draw)
    y = torch.randn(len(ids), sum(SLICES), generator=draw)
    wanted = by_hand(ids, x, y, *stacked)
    made = wrapper(plugin.PunicaWrapperSegments, ids, prefill=prefill)
    made.add_lora_linear(y, x, *stacked, 1.0, SLICES)
    torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-4)


def test_vllm_itself_gives_base_rows_the_last_adapter(stacked: tuple[Any, Any]) -> None:
    """When this fails, vLLM was mended, and the plugin is only faster."""
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    y = torch.zeros(2, sum(SLICES))
    x = torch.ones(2, WIDTH)
    wrapper(PunicaWrapperCPU, [NONE, 1], prefill=False).add_lora_linear(y, x, *stacked, 1.0, SLICES)
    torch.testing.assert_close(y[:1], by_hand([PLACES], x[:1], y[:1] * 0, *stacked))


def test_rows_that_pad_a_batch_are_left_alone(plugin: ModuleType, stacked: tuple[Any, Any]) -> None:
    x, y = torch.ones(3, WIDTH), torch.zeros(3, sum(SLICES))
    made = wrapper(plugin.PunicaWrapperSegments, [2, 2], prefill=False)
    made.add_lora_linear(y, x, *stacked, 1.0, SLICES)
    torch.testing.assert_close(y[:2], by_hand([2, 2], x[:2], y[:2] * 0, *stacked))
    assert not y[2].any()


def test_the_scale_counts(plugin: ModuleType, stacked: tuple[Any, Any]) -> None:
    x, once, twice = torch.ones(1, WIDTH), torch.zeros(1, 24), torch.zeros(1, 24)
    made = wrapper(plugin.PunicaWrapperSegments, [3], prefill=True)
    made.add_lora_linear(once, x, *stacked, 1.0, SLICES)
    made.add_lora_linear(twice, x, *stacked, 2.0, SLICES)
    torch.testing.assert_close(twice, 2 * once)


def test_vllm_finds_it_by_its_entry_point() -> None:
    from importlib.metadata import distributions

    [found] = distributions(path=[str(PLUGIN)], name="prefloop-lora")
    [point] = found.entry_points.select(group="vllm.general_plugins")
    assert point.value == "prefloop_lora:register"
