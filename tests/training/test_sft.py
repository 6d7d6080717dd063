"""SFT by TRL: what it learns from, that it goes on exactly, and what it leaves behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.tiny import save_tiny
from tests.training.trl_runs import Told, make_spec, model_folder, told_by, write_lines
from training.engine.adapters import read_adapter
from training.engine.base import load_base
from training.engine.data import Demonstration, load_demonstrations
from training.engine.errors import NotFinite, SpecError, Stopped
from training.engine.methods.sft import dataset, run_sft
from training.engine.methods.trl_run import batch_size, in_engine_names
from training.engine.methods.trl_session import rows_per_process
from training.engine.packing import pack
from training.engine.process import RunFolder
from training.engine.scorers import LogProbs
from training.engine.spec import RunSpec

ANSWERS = {"one?": "eins", "two?": "zwei", "three?": "drei", "four?": "vier"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("sft"))


@pytest.fixture
def demonstrations(tmp_path: Path) -> str:
    rows = [{"prompt": asked, "completion": said} for asked, said in ANSWERS.items()]
    return write_lines(tmp_path / "demonstrations.jsonl", rows)


def run(root: Path, spec: RunSpec, name: str = "run", *, stop_after: int | None = None) -> Told:
    return told_by(run_sft, spec, RunFolder(root / name), stop_after=stop_after)


def test_the_loss_falls_on_a_set_that_can_be_memorised(
    tmp_path: Path, model: Path, demonstrations: str
) -> None:
    spec = make_spec(
        "sft",
        model,
        {"demonstrations": [demonstrations]},
        lora={"r": 16},
        training={"max_steps": 60, "groups_per_step": 4},
        optimizer={"lr": 0.006},
    )
    told = run(tmp_path, spec)
    losses = told.column("loss")
    assert len(losses) == 60
    # The frozen head of random weights lets no token be likelier than e^-2.6.
    assert losses[-1] < losses[0] * 0.6
    assert told.column("accuracy")[0] < 0.1
    assert told.column("accuracy")[-1] > 0.95
    assert {"lr", "grad_norm", "tokens", "epoch", "steps", "accuracy"} <= told.lines[0].keys()
    assert told.column("tokens") == sorted(told.column("tokens"))


def test_it_takes_the_memory_that_was_estimated(tmp_path: Path) -> None:
    """Of many tokens at a time and a large vocabulary, whose logits are most of it."""
    sizes = {"hidden_size": 256, "intermediate_size": 768, "vocab_size": 32_000}
    model = save_tiny("llama", tmp_path / "model", num_hidden_layers=4, **sizes)
    rows = [{"prompt": "Say something.", "completion": f"{n} " + "a" * 200} for n in range(8)]
    data = {"demonstrations": [write_lines(tmp_path / "rows.jsonl", rows)]}
    training = {"groups_per_step": 8, "tokens_per_pack": 4096}
    spec = make_spec("sft", model, data, training=training)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "spec.json").write_text(spec.model_dump_json())
    # In a process of its own: here, what earlier tests leave is freed at any moment.
    command = [sys.executable, "-m", "training.engine", str(tmp_path / "run")]
    subprocess.run(command, check=True, capture_output=True)
    memory = json.loads((tmp_path / "run" / "run.json").read_text())["memory"]
    assert memory["peak"]["allocated"] < 1.25 * memory["estimate"]["training"]


def test_the_prompt_has_no_labels() -> None:
    (row,) = dataset([Demonstration("a", (5, 6, 7, 9, 10, 2), ((3, 6),))])
    assert row == {"input_ids": [5, 6, 7, 9, 10, 2], "labels": [-100, -100, -100, 9, 10, 2]}


def test_the_loss_is_the_mean_over_the_completion_tokens_of_a_step(
    tmp_path: Path, model: Path, demonstrations: str
) -> None:
    """However the step is cut into batches, and whatever the prompts' tokens are worth."""
    losses = []
    for budget in (1, 4096):
        spec = make_spec(
            "sft",
            model,
            {"demonstrations": [demonstrations]},
            training={"max_steps": 1, "groups_per_step": 4, "tokens_per_pack": budget},
        )
        losses.append(run(tmp_path, spec, str(budget)).column("loss")[0])
    assert losses == pytest.approx([negative_log_likelihood(spec)] * 2, rel=1e-4)


@torch.no_grad()
def negative_log_likelihood(spec: RunSpec) -> float:
    """A token, of the base on all completions: what a fresh adapter starts from."""
    base = load_base(spec.base)
    found = load_demonstrations(spec.data, base.tokenizer).train
    packed = pack([group for one in found for group in one.groups])
    return float(-LogProbs(base.model, "unpacked")(packed).mean())


def test_a_stopped_run_goes_on_with_the_same_losses(
    tmp_path: Path, model: Path, demonstrations: str
) -> None:
    spec = make_spec(
        "sft",
        model,
        {"demonstrations": [demonstrations]},
        lora={"dropout": 0.1},
        training={"max_steps": 5},
    )
    straight = run(tmp_path, spec, "straight")
    with pytest.raises(Stopped, match="after step 2 of 5"):
        run(tmp_path, spec, "stopped", stop_after=2)
    kept = tmp_path / "stopped" / "checkpoints"
    assert [place.name for place in kept.iterdir()] == ["step-000002"]
    rest = run(tmp_path, spec, "stopped")
    assert rest.column("step") == [3, 4, 5]
    for name in ("loss", "lr", "tokens", "grad_norm"):
        assert rest.column(name) == straight.column(name)[2:], name
    assert written(tmp_path, "stopped") == written(tmp_path, "straight")


def written(root: Path, name: str) -> str:
    return read_adapter(root / name / "adapter").content_hash


def test_old_checkpoints_go(tmp_path: Path, model: Path, demonstrations: str) -> None:
    spec = make_spec(
        "sft",
        model,
        {"demonstrations": [demonstrations]},
        training={"max_steps": 4, "checkpoint_every": 1, "keep_checkpoints": 2},
    )
    run(tmp_path, spec)
    names = sorted(place.name for place in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step-000002", "step-000003"]


def test_held_out_demonstrations_are_measured_on(
    tmp_path: Path, model: Path, demonstrations: str
) -> None:
    spec = make_spec(
        "sft",
        model,
        {
            "demonstrations": [demonstrations],
            "evaluation_demonstrations": [demonstrations + "2"],
            "general_text": str(tmp_path / "text.txt"),
        },
        training={"max_steps": 3, "evaluate_every": 2},
        evaluation={"answers": 1, "max_new_tokens": 6},
    )
    (tmp_path / "text.txt").write_text("Water boils at a hundred degrees. " * 9)
    write_lines(Path(demonstrations + "2"), [{"prompt": "five?", "completion": "fünf"}])
    told = run(tmp_path, spec)
    measured = [line["step"] for line in told.lines if "evaluation_loss" in line]
    assert measured == [2, 3]
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    # The evaluation loss is that of the finished adapter on the held-out completions.
    found = evaluation["demonstrations"]["adapter"]["nll"]
    assert found == pytest.approx(told.column("evaluation_loss")[-1], rel=1e-4)
    assert evaluation["general_text"]["difference"]["count"] > 0
    assert evaluation["kl"]["per_token"]["value"] > 0
    assert evaluation["length"]["trained"] <= 6
    assert evaluation["missing"]["accuracy"] == "learned from demonstrations, not from rankings"


def test_the_card_says_what_was_trained(tmp_path: Path, model: Path, demonstrations: str) -> None:
    run(tmp_path, make_spec("sft", model, {"demonstrations": [demonstrations]}))
    card = read_adapter(tmp_path / "run" / "adapter").card
    assert card["method"] == "sft"
    assert card["base_name"] == "model"
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["groups"] == {"train": 4, "evaluation": 0}
    assert manifest["memory"]["estimate"]["training"] > 0


def test_a_loss_that_is_no_number_ends_the_run(
    tmp_path: Path, model: Path, demonstrations: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trl.SFTTrainer.training_step", lambda *_args, **_kwargs: torch.tensor(float("nan"))
    )
    with pytest.raises(NotFinite, match="The loss of step 1 is not a finite number"):
        run(tmp_path, make_spec("sft", model, {"demonstrations": [demonstrations]}))
    assert not (tmp_path / "run" / "adapter").exists()


def test_what_is_longer_than_the_model_reads_is_refused(
    tmp_path: Path, demonstrations: str
) -> None:
    short = save_tiny("llama", tmp_path / "short", max_position_embeddings=4)
    with pytest.raises(SpecError, match="reads 4 at most"):
        run(tmp_path, make_spec("sft", short, {"demonstrations": [demonstrations]}))


def test_what_was_left_out_of_the_data_is_said(
    tmp_path: Path, model: Path, demonstrations: str
) -> None:
    with Path(demonstrations).open("a") as file:
        file.write("no json\nneither\n{}\n")
    told = run(tmp_path, make_spec("sft", model, {"demonstrations": [demonstrations]}))
    assert told.warnings[:1] == [
        "Of the data (7 rows): 2 of 7 rows (28.6%) left out (line is not JSON in UTF-8); "
        "1 of 7 rows (14.3%) left out (row is no demonstration; it has neither messages nor "
        "prompt and completion). See data_report.json."
    ]


def test_a_batch_is_the_largest_divisor_in_the_budget() -> None:
    assert batch_size(12, 100, 450) == 4
    assert batch_size(12, 100, 10) == 1
    assert batch_size(12, 100, 10, least=2) == 2
    assert batch_size(7, 100, 450) == 1
    assert batch_size(7, 100, 450, least=2) == 7


def test_processes_share_a_step_evenly(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec("sft", model, {"demonstrations": ["a"]}, training={"groups_per_step": 6})
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert rows_per_process(spec, 2) == 4
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SpecError, match="6 cannot be shared by 4 processes"):
        rows_per_process(spec)


def test_metrics_have_the_names_of_the_engine() -> None:
    logs = {
        "learning_rate": 0.1,
        "rewards/margins": 2.0,
        "eval_rewards/chosen": 3.0,
        "eval_runtime": 1.0,
        "train_loss": 0.0,
    }
    assert in_engine_names(logs) == {
        "lr": 0.1,
        "margin": 2.0,
        "evaluation_rewards_chosen": 3.0,
    }
