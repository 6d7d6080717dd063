"""What a run writes down: the manifest that guards a resume, metrics, failures in words."""

import errno
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from training.engine.errors import (
    DataError,
    DiskFull,
    EngineError,
    NotFinite,
    OutOfMemory,
    Passing,
    SpecError,
)
from training.engine.process import RunFolder, manifest
from training.engine.process.display import Bar, Lines
from training.engine.process.failures import in_words
from training.engine.process.metrics import MetricsWriter
from training.engine.process.paths import with_absolute_paths
from training.engine.process.reporter import Pace
from training.engine.spec import RunSpec, parse_spec


def spec(**more: Any) -> RunSpec:
    base = {"method": "dpo", "base": {"model": "owner/model"}, "training": {"epochs": 1}}
    return parse_spec({**base, "data": {"rankings": ["rankings.jsonl"]}, **more})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "rankings.jsonl").write_text("{}\n")
    return RunFolder(tmp_path)


def begin(folder: RunFolder, of: RunSpec) -> None:
    manifest.begin(folder, of, manifest.data_identity(folder, of))


def checkpoint(folder: RunFolder) -> None:
    (folder.checkpoints / "step-000001").mkdir(parents=True)


def test_checkpoints_of_another_spec_are_not_gone_on_from(folder: RunFolder) -> None:
    begin(folder, spec())
    checkpoint(folder)
    with pytest.raises(SpecError, match=r"optimizer\.lr: it was 5e-05, now it is 1e-06"):
        begin(folder, spec(optimizer={"lr": 1e-6}))


def test_a_setting_that_came_since_has_its_default(folder: RunFolder) -> None:
    """A run that was killed before an upgrade goes on after it."""
    begin(folder, spec())
    checkpoint(folder)
    before = folder.read_json(folder.manifest) or {}
    del before["spec"]["optimizer"]["warmup_ratio"]
    folder.write_json(folder.manifest, before)
    begin(folder, spec())
    before["spec"]["optimizer"]["warmup_ratio"] = 0.5
    folder.write_json(folder.manifest, before)
    with pytest.raises(SpecError, match=r"optimizer\.warmup_ratio: it was 0\.5, now it is 0\.05"):
        begin(folder, spec())


def test_without_a_checkpoint_everything_may_change(folder: RunFolder) -> None:
    begin(folder, spec())
    begin(folder, spec(optimizer={"lr": 1e-6}))
    assert (folder.read_json(folder.manifest) or {})["spec"]["optimizer"]["lr"] == 1e-6


def test_what_only_saves_memory_may_change_between_two_starts(folder: RunFolder) -> None:
    begin(folder, spec())
    checkpoint(folder)
    base = {"model": "owner/model", "gradient_checkpointing": True}
    begin(folder, spec(base=base, training={"epochs": 1, "tokens_per_pack": 512}))
    written = folder.read_json(folder.manifest) or {}
    assert written["starts"] == 2
    assert written["started"] < written["last_start"]


def test_other_data_are_not_gone_on_with(folder: RunFolder) -> None:
    begin(folder, spec())
    checkpoint(folder)
    (folder.root / "rankings.jsonl").write_text("{}\n{}\n")
    with pytest.raises(SpecError, match="the content of the files is another one"):
        begin(folder, spec())


def test_the_same_data_may_lie_elsewhere(folder: RunFolder) -> None:
    begin(folder, spec())
    checkpoint(folder)
    (folder.root / "rankings.jsonl").rename(folder.root / "moved.jsonl")
    begin(folder, spec(data={"rankings": ["moved.jsonl"]}))


def test_the_manifest_grows_without_losing_what_others_wrote(folder: RunFolder) -> None:
    folder.update_manifest({"memory": {"estimate": 3}, "starts": 1})
    folder.update_manifest({"memory": {"peak": 4}, "starts": 2})
    assert folder.read_json(folder.manifest) == {"memory": {"estimate": 3, "peak": 4}, "starts": 2}


def test_files_appear_whole_and_leave_no_draft(folder: RunFolder) -> None:
    folder.write_json(folder.evaluation, {"accuracy": 0.7})
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.write_json(folder.evaluation, {"accuracy": float("nan")})
    assert folder.read_json(folder.evaluation) == {"accuracy": 0.7}
    assert sorted(place.name for place in folder.root.iterdir()) == [
        "evaluation.json",
        "rankings.jsonl",
    ]


def test_paths_begin_at_the_run_folder(folder: RunFolder) -> None:
    (folder.root / "model").mkdir()
    shared = {"reference_cache": "../cache.sqlite"}
    found = with_absolute_paths(spec(base={"model": "model"}, dpo=shared), folder)
    assert found.base.model == str(folder.root / "model")
    assert found.data.rankings == (str(folder.root / "rankings.jsonl"),)
    assert found.dpo is not None
    assert found.dpo.reference_cache == str(folder.root / "../cache.sqlite")
    assert with_absolute_paths(spec(), folder).base.model == "owner/model"  # on the hub


def test_what_is_not_there_is_named(folder: RunFolder) -> None:
    with pytest.raises(DataError, match=r"There is no data file pairs\.jsonl\."):
        with_absolute_paths(spec(data={"pairs": ["pairs.jsonl"]}), folder)
    with pytest.raises(SpecError, match=r"base\.model: there is nothing at .*small\.gguf"):
        with_absolute_paths(spec(base={"model": "small.gguf"}), folder)
    with pytest.raises(SpecError, match=r"parent\.adapter: there is no adapter in .*older"):
        with_absolute_paths(spec(parent={"adapter": "older", "use": "continue"}), folder)


def test_rewards_are_functions_or_folders(folder: RunFolder) -> None:
    (folder.root / "judge").mkdir()
    (folder.root / "judge" / "adapter_config.json").write_text("{}")
    online = {"rewards": ["package.module:shorter", "judge"]}
    found = with_absolute_paths(spec(method="grpo", online=online), folder)
    assert found.online is not None
    assert found.online.rewards == ("package.module:shorter", str(folder.root / "judge"))


def test_metrics_of_steps_that_are_repeated_are_replaced(folder: RunFolder) -> None:
    first = MetricsWriter(folder)
    for step in (1, 2, 3):
        first.write({"step": step, "loss": 0.1 * step})
    with folder.metrics.open("a") as file:
        file.write('{"step": 4, "lo')  # killed while writing
    again = MetricsWriter(folder)
    again.write({"step": 3, "loss": 9.0})
    again.write({"step": 4, "loss": 8.0})
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [
        (1, 0.1),
        (2, 0.2),
        (3, 9.0),
        (4, 8.0),
    ]


def test_time_left_counts_from_where_the_phase_began() -> None:
    pace = Pace(100)
    assert pace.left_s() is None
    pace._first, pace._last = (0.0, 50), (10.0, 60)  # ten steps in ten seconds, after a resume
    assert pace.left_s() == 40.0


def test_lines_for_a_log_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.phase("training", 200)
    for step in range(1, 201):
        lines.progress(step)
        lines.metrics({"loss": 0.5, "lr": 1e-4, "eta_s": 200 - step})
    assert capsys.readouterr().err.splitlines() == [
        "training (0 of 200)",
        "1 of 200: loss 0.5, lr 0.0001, 3 min left",
        "200 of 200: loss 0.5, lr 0.0001",
    ]


def test_a_terminal_gets_a_bar_that_goes_on_where_the_run_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = Bar()
    bar.phase("training", 200)
    bar.progress(150)
    bar.metrics({"loss": 0.5})
    bar.say("Warning: few data.")
    bar.close()
    said = capsys.readouterr().err
    assert "training:  75%" in said
    assert "150/200" in said
    assert "loss 0.5" in said
    assert "Warning: few data." in said


def of_sqlite(text: str, code: int) -> sqlite3.OperationalError:
    problem = sqlite3.OperationalError(text)
    problem.sqlite_errorcode = code
    return problem


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: ..."), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFull),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), DiskFull),
        (RuntimeError("[enforce fail at inline_container.cc:1] . unexpected pos 4 vs 0"), DiskFull),
        (of_sqlite("database or disk is full", sqlite3.SQLITE_FULL), DiskFull),
        (of_sqlite("database is locked", sqlite3.SQLITE_BUSY_SNAPSHOT), Passing),
        (of_sqlite("file is not a database", sqlite3.SQLITE_NOTADB), SpecError),
        (of_sqlite("no such table: reference", sqlite3.SQLITE_ERROR), SpecError),
        (SafetensorError("Error while deserializing header"), DataError),
        (RuntimeError("probability tensor contains either `inf`, `nan` or ..."), NotFinite),
        (ConnectionError("no route to host"), Passing),
        (ValueError("strange"), EngineError),
    ],
)
def test_every_exception_has_words(problem: Exception, kind: type[EngineError]) -> None:
    found = in_words(problem)
    assert type(found) is kind
    assert found.message
    assert found.advice


def test_the_cause_of_an_exception_counts() -> None:
    problem = ValueError("the step failed")
    problem.__cause__ = MemoryError()
    assert isinstance(in_words(problem), OutOfMemory)
