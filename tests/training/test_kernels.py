"""The caches of the CPU's kernels are bounded before a run computes anything."""

import os
from pathlib import Path

import pytest

from training.engine.process import kernels
from training.engine.process.run import run


def test_a_run_bounds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.delenv("LRU_CACHE_CAPACITY", raising=False)

    run(tmp_path)

    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == str(kernels.SHAPES)
    assert os.environ["LRU_CACHE_CAPACITY"] == str(kernels.SHAPES)


def test_what_somebody_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")

    kernels.bound_kernel_caches()

    assert os.environ["LRU_CACHE_CAPACITY"] == "7"
