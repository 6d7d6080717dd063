"""Reference log-probabilities are computed once, and found again by what they depend on."""

from pathlib import Path

import pytest
import torch

from tests.training.packs import two_groups
from tests.training.tiny import tiny_model
from training.engine.groups import Group
from training.engine.packing import pack
from training.engine.reference import ReferenceCache
from training.engine.scorers import LogProbs


def model() -> LogProbs:
    return LogProbs(tiny_model("llama"), "unpacked")


def put(cache: ReferenceCache, groups: list[Group], reference: LogProbs) -> None:
    packed = pack(groups)
    cache.put(packed, reference(packed))


def test_a_later_run_finds_them(tmp_path: Path) -> None:
    groups, reference = two_groups(), model()
    cache = ReferenceCache(tmp_path / "reference.sqlite", "base a")
    assert cache.missing(groups) == [0, 1]
    for group in groups:
        put(cache, [group], reference)
    cache.close()
    again = ReferenceCache(tmp_path / "reference.sqlite", "base a")
    assert again.missing(groups) == []
    together = pack([groups[1], groups[0]])
    torch.testing.assert_close(again.get(together), reference(together))
    assert ReferenceCache(tmp_path / "reference.sqlite", "base b").missing(groups) == [0, 1]


def test_another_prompt_is_another_key(tmp_path: Path) -> None:
    groups = two_groups()
    cache = ReferenceCache(tmp_path / "reference.sqlite", "base")
    put(cache, groups, model())
    moved = Group("moved", groups[0].prompt[1:], groups[0].completions)
    assert cache.missing([moved]) == [0]
    with pytest.raises(KeyError, match="no reference"):
        cache.get(pack([moved]))


def test_two_processes_may_write_the_same(tmp_path: Path) -> None:
    groups = two_groups()
    caches = [ReferenceCache(tmp_path / "reference.sqlite", "base") for _ in range(2)]
    for cache in caches:
        put(cache, groups, model())
    assert caches[0].missing(groups) == []
