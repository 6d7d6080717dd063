"""KTO from its own files: completions with a label, alone and beside pairs."""

import json
from pathlib import Path

import pytest

from tests.training.trl_runs import make_spec, model_folder, told_by, write_lines
from training.engine.methods.kto import run_kto
from training.engine.process import RunFolder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("kto"))


def labeled(path: Path, *, good: str = "yes") -> str:
    return write_lines(
        path,
        [
            {"prompt": f"{number}?", "completion": said, "label": said == good}
            for number in range(4)
            for said in ("yes", "no")
        ],
    )


def test_labeled_completions_are_learned_from(tmp_path: Path, model: Path) -> None:
    """Alone: the desirable ones become likelier than the others."""
    held_out = write_lines(
        tmp_path / "held_out.jsonl", [{"prompt": "9?", "chosen": "no", "rejected": "yes"}]
    )
    spec = make_spec(
        "kto",
        model,
        {"unpaired": [labeled(tmp_path / "u.jsonl", good="no")], "evaluation_pairs": [held_out]},
        training={"max_steps": 20, "groups_per_step": 4},
    )
    told_by(run_kto, spec, RunFolder(tmp_path / "run"))
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["accuracy"]["value"] == 1


def test_they_count_beside_pairs_and_are_measured_on(tmp_path: Path, model: Path) -> None:
    pairs = write_lines(
        tmp_path / "pairs.jsonl", [{"prompt": "5?", "chosen": "yes", "rejected": "no"}]
    )
    data = {
        "pairs": [pairs],
        "unpaired": [labeled(tmp_path / "u.jsonl")],
        "evaluation_unpaired": [
            write_lines(
                tmp_path / "e.jsonl", [{"prompt": "9?", "completion": "no", "label": False}]
            )
        ],
    }
    told_by(run_kto, make_spec("kto", model, data), RunFolder(tmp_path / "run"))
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["groups"] == {"train": 10, "evaluation": 1}
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["kl"]["per_token"]["value"] >= 0
