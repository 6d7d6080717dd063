"""Reference log-probabilities are computed once, and found again by what they depend on."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.packs import two_groups
from tests.training.tiny import tiny_model
from training.engine.groups import Group
from training.engine.packing import Pack, pack
from training.engine.reference import ReferenceCache, fill
from training.engine.scorers import LogProbs

CPU = torch.device("cpu")


class Counting:
    """A reference that counts the packs it is asked for."""

    def __init__(self) -> None:
        self.scorer = LogProbs(tiny_model("llama"), "unpacked")
        self.asked = 0

    def __call__(self, packed: Pack) -> Tensor:
        self.asked += 1
        found: Tensor = self.scorer(packed)
        return found


def test_a_later_run_finds_them(tmp_path: Path) -> None:
    groups, reference = two_groups(), Counting()
    cache = ReferenceCache(tmp_path / "reference.sqlite", "base a")
    assert cache.missing(groups) == [0, 1]
    seen: list[int] = []
    fill(cache, groups, [[0], [1]], reference, CPU, seen.append)
    assert seen == [1, 2]
    cache.close()
    again = ReferenceCache(tmp_path / "reference.sqlite", "base a")
    assert again.missing(groups) == []
    together = pack([groups[1], groups[0]])
    torch.testing.assert_close(again.get(together), reference(together))
    assert ReferenceCache(tmp_path / "reference.sqlite", "base b").missing(groups) == [0, 1]


def test_another_prompt_is_another_key(tmp_path: Path) -> None:
    groups = two_groups()
    cache = ReferenceCache(tmp_path / "reference.sqlite", "base")
    fill(cache, groups, [[0, 1]], Counting(), CPU, lambda _: None)
    moved = Group("moved", groups[0].prompt[1:], groups[0].completions)
    assert cache.missing([moved]) == [0]
    with pytest.raises(KeyError, match="no reference"):
        cache.get(pack([moved]))


def test_two_processes_may_write_the_same(tmp_path: Path) -> None:
    groups = two_groups()
    caches = [ReferenceCache(tmp_path / "reference.sqlite", "base") for _ in range(2)]
    for cache in caches:
        fill(cache, groups, [[0, 1]], Counting(), CPU, lambda _: None)
    assert caches[0].missing(groups) == []
