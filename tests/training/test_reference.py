"""Reference log-probabilities are computed once, and found again by what they depend on."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

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


def test_many_may_open_a_new_file_at_the_same_instant(tmp_path: Path) -> None:
    """Each is another connection; SQLite locks them out of each other as it does processes."""
    groups, reference, many = two_groups(), model(), 6
    for attempt in range(15):
        file, start = tmp_path / f"reference-{attempt}.sqlite", Barrier(many)

        def open_and_put(file: Path = file, start: Barrier = start) -> list[int]:
            start.wait()
            cache = ReferenceCache(file, "base")
            try:
                put(cache, groups, reference)
                return cache.missing(groups)
            finally:
                cache.close()

        with ThreadPoolExecutor(many) as pool:
            opened = [pool.submit(open_and_put) for _ in range(many)]
        assert [each.result() for each in opened] == [[]] * many
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "drafts are left"
