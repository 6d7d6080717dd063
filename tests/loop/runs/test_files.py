"""What the engine leaves in a run's folder, read beside what is known already."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from training.runs import endings, log_tail
from training.runs.base_model import name_of, place_of, weights_b
from training.runs.child import Child, environment_of, training_command
from training.runs.folder import RunFiles
from training.runs.metric_lines import MetricLines


def line(step: int, loss: float = 1.0) -> str:
    return json.dumps({"step": step, "loss": loss}) + "\n"


def steps(rows: list[dict[str, Any]]) -> list[int]:
    return [row["step"] for row in rows]


def everything(lines: MetricLines) -> list[tuple[int, list[int]]]:
    """Where each change begins, and its steps; every change is taken."""
    found = []
    while change := lines.look():
        if change.rewrites:
            found.append((change.start, steps(change.rows)))
        lines.taken(change)
    return found


class TestMetricLines:
    def test_lines_are_taken_once_they_are_whole(self, tmp_path: Path) -> None:
        file = tmp_path / "metrics.jsonl"
        lines = MetricLines(file)
        assert everything(lines) == []
        file.write_text(line(1) + line(2) + '{"step": 3')
        assert everything(lines) == [(0, [1, 2])]
        assert everything(lines) == []
        with file.open("a") as opened:
            opened.write(', "loss": 1.0}\n' + line(4))
        assert everything(lines) == [(2, [3, 4])]

    def test_a_change_is_offered_until_it_is_taken(self, tmp_path: Path) -> None:
        file = tmp_path / "metrics.jsonl"
        file.write_text(line(1))
        lines = MetricLines(file)
        first, second = lines.look(), lines.look()
        assert first == second is not None

    def test_a_rewound_file_replaces_from_the_first_line_that_differs(self, tmp_path: Path) -> None:
        file = tmp_path / "metrics.jsonl"
        file.write_text(line(1) + line(2) + line(3))
        lines = MetricLines(file)
        everything(lines)
        draft = tmp_path / "draft"
        draft.write_text(line(1) + line(2, loss=0.5))
        draft.replace(file)
        assert everything(lines) == [(1, [2])]
        with file.open("a") as opened:
            opened.write(line(3))
        assert everything(lines) == [(2, [3])]

    def test_a_shorter_file_takes_lines_away(self, tmp_path: Path) -> None:
        file = tmp_path / "metrics.jsonl"
        file.write_text(line(1))
        lines = MetricLines(file, [{"step": 1, "loss": 1.0}, {"loss": 1.0, "step": 2}])
        assert everything(lines) == [(1, [])]

    def test_what_the_database_has_is_not_offered_again(self, tmp_path: Path) -> None:
        file = tmp_path / "metrics.jsonl"
        file.write_text(line(1) + line(2) + "half\n" + line(3))
        lines = MetricLines(file, [{"loss": 1.0, "step": 1}, {"step": 2, "loss": 1.0}])
        assert everything(lines) == [(2, [3])]

    def test_a_long_file_comes_in_parts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("training.runs.metric_lines.AT_A_TIME", 100)
        file = tmp_path / "metrics.jsonl"
        file.write_text("".join(line(step) for step in range(30)))
        found = everything(MetricLines(file))
        assert len(found) > 3
        assert [step for _, rows in found for step in rows] == list(range(30))


class TestLogTail:
    def test_it_is_bounded_and_begins_with_a_whole_line(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        log.write_text("".join(f"line {number} {'x' * 90}\n" for number in range(2000)))
        shown = log_tail.tail(log)
        assert len(shown) <= log_tail.TAIL
        assert shown.startswith("line ")
        assert shown.rstrip().splitlines()[-1].startswith("line 1999")
        assert log_tail.tail(tmp_path / "none") == ""

    def test_it_shows_no_secrets_and_nothing_that_cannot_be_stored(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        log.write_bytes(b"key abcdefgh\0\xff https://me:pass1@host/x\n 10%\r 20%\r 30%\n")
        shown = log_tail.tail(log, {"HF_TOKEN": "abcdefgh", "PATH": "host", "SHORT_KEY": "30"})
        assert shown == "key •••� https://•••@host/x\n 30%\n"

    def test_a_log_that_grows_is_cut_while_it_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_tail, "LOG_LIMIT", 1000)
        log = tmp_path / "log.txt"
        with log.open("ab") as writer:
            writer.write(b"a" * 900 + b"b" * 600)
            writer.flush()
            log_tail.bound(log)
            writer.write(b"c")
        assert log.read_bytes() == b"b" * 500 + b"c"


class TestBase:
    def test_its_name_has_no_folder_in_it(self, tmp_path: Path) -> None:
        assert name_of("owner/model-7B") == "owner/model-7B"
        assert name_of("/models/My-1.5B") == "My-1.5B"
        assert name_of(str(tmp_path)) == tmp_path.name

    def test_it_lies_in_its_folder_among_the_fetched_or_on_the_hub(self, tmp_path: Path) -> None:
        (tmp_path / "owner" / "model").mkdir(parents=True)
        assert place_of("owner/model", tmp_path) == str(tmp_path / "owner" / "model")
        assert place_of("owner/other", tmp_path) == "owner/other"
        assert place_of(str(tmp_path), tmp_path / "x") == str(tmp_path)
        assert place_of("SmolLM2-135M-Instruct", tmp_path) is None

    def test_its_size_is_in_its_files_or_in_its_name(self, tmp_path: Path) -> None:
        header = json.dumps(
            {"__metadata__": {"format": "pt"}, "w": {"shape": [3, 4]}, "b": {"shape": [2]}}
        ).encode()
        file = tmp_path / "model.safetensors"
        file.write_bytes(len(header).to_bytes(8, "little") + header)
        assert weights_b("x", str(tmp_path)) == 14e-9
        sizes = [weights_b(name, None) for name in ("SmolLM2-135M-Instruct", "a/b-1.5b", "gpt2")]
        assert sizes == [0.135, 1.5, None]


class TestChild:
    def test_the_launcher_stands_before_the_module(self, tmp_path: Path) -> None:
        assert training_command(tmp_path, "")[1:] == ["-m", "training.engine", str(tmp_path)]
        words = training_command(tmp_path, "accelerate launch --config_file 'a b'")
        assert words[1:] == [
            "launch",
            "--config_file",
            "a b",
            "-m",
            "training.engine",
            str(tmp_path),
        ]
        assert Path(words[0]).name == "accelerate"

    def test_what_opens_the_database_is_withheld(self) -> None:
        given = {"SECRET_KEY": "x", "DATABASE_URL": "y", "HF_TOKEN": "z", "HOME": "/h"}
        assert not {"SECRET_KEY", "DATABASE_URL"} & environment_of(given).keys()
        assert environment_of(given)["HF_TOKEN"] == "z"

    def test_it_is_polite_and_ends_with_its_parent(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        code = (
            "import sys, time; from pathlib import Path; from training.runs.child import Child;"
            "child = Child(['sleep', '60'], Path(sys.argv[1]));"
            "time.sleep(0.5); print(child.pid, flush=True); time.sleep(60)"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", code, str(log)], stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) >= 500
        parent.kill()
        parent.wait()
        for _ in range(100):
            if not is_alive(pid):
                return
            time.sleep(0.05)
        pytest.fail("the child outlives its parent")

    def test_it_is_ended_with_all_that_it_started(self, tmp_path: Path) -> None:
        log = tmp_path / "log.txt"
        child = Child(["sh", "-c", "setsid sleep 60 & echo $!; wait"], log)
        while not log.read_text().strip():
            assert child.wait(0.05) is None
        inner = int(log.read_text())
        child.kill()
        assert child.wait(PATIENCE_S) == -signal.SIGKILL
        time.sleep(0.1)
        assert not is_alive(inner)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestEndings:
    @pytest.mark.parametrize(
        ("code", "said", "words", "again"),
        [
            (-9, "training (3 of 9)", "lack of memory", True),
            (-15, "", "SIGTERM", True),
            (1, "x\nNo module named 'accelerate'\n", "No module named", False),
            (1, "OSError: [Errno 28] No space left on device: 'a'", "disk is full", False),
            (-7, "No space left on device", "disk is full", False),
        ],
    )
    def test_in_words(self, code: int, said: str, words: str, again: bool) -> None:
        ending = endings.without_word(code, said)
        assert words in ending.message
        assert ending.again == again
        assert ending.advice

    def test_advice_is_for_who_has_a_button(self) -> None:
        said = "Free some space; then start the same command again to go on."
        assert endings.for_people(said) == "Free some space; then resume the run to go on."


def test_a_tidied_folder_keeps_adapter_metrics_and_reports(tmp_path: Path) -> None:
    kept = ["spec.json", "metrics.jsonl", "run.json", "log.txt"]
    for name in (*kept, "reference.sqlite", ".draft"):
        (tmp_path / name).write_text("x")
    for name in ("adapter", "checkpoints/step-1", "data/train", "adapters/abc", "merged"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    RunFiles(tmp_path).tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "adapter"])
    assert (tmp_path / "adapter" / "file").exists()
