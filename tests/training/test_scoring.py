"""A reward model scores answers in a folder: the rewards, going on, and what is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.patience import PATIENCE_S
from tests.training.test_runs import ranking
from tests.training.tiny import save_tiny
from tests.training.trl_runs import make_spec, told_by, write_lines
from training.engine.adapters import load_adapter, read_adapter
from training.engine.base import load_base
from training.engine.data import Chat
from training.engine.errors import DataError, SpecError, Stopped
from training.engine.methods.reward import run_reward
from training.engine.process import RunFolder, StopRequest
from training.engine.reward_head import load_head
from training.engine.scoring import judge, work
from training.engine.scoring.work import score_folder
from training.engine.spec import Base

QUESTION = [{"role": "user", "content": "Describe thing 3."}]
HELD_OUT = range(16, 28)
OTHER = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "And thing 5?"}]
ANSWERS: list[dict[str, Any]] = [
    {"id": 7, "messages": QUESTION, "completion": "red"},
    {"id": 3, "messages": QUESTION, "completion": "red red red", "finish_reason": "stop"},
    {"id": 11, "messages": OTHER, "completion": "old old", "finish_reason": "length"},
    {"id": 12, "messages": OTHER, "completion": "", "finish_reason": "stop"},
    {"id": 20, "messages": QUESTION, "completion": "red", "finish_reason": "stop"},
    {"id": 21, "messages": QUESTION, "completion": "red", "finish_reason": "length"},
]


def held_out_ranking(number: int) -> dict[str, Any]:
    """Of odd things the long answer is the best, which the model does not expect."""
    tiers = [[2], [1], [0]] if number % 2 else [[0], [1], [2]]
    return {**ranking(number), "tiers": tiers}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A reward adapter on a tiny model, and its run's folder."""
    root = tmp_path_factory.mktemp("scoring")
    model = save_tiny("llama", root / "tiny")
    rankings = write_lines(root / "rankings.jsonl", [ranking(n) for n in range(HELD_OUT.start)])
    held_out = write_lines(root / "held_out.jsonl", list(map(held_out_ranking, HELD_OUT)))
    spec = make_spec(
        "reward",
        model,
        {"rankings": [rankings], "evaluation_rankings": [held_out]},
        training={"max_steps": 3, "groups_per_step": 4},
    )
    told_by(run_reward, spec, RunFolder(root / "run"))
    return {"model": model, "run": root / "run", "adapter": root / "run" / "adapter"}


@pytest.fixture
def folder(tmp_path: Path, trained: dict[str, Path]) -> RunFolder:
    return fill(tmp_path / "scores", trained, ANSWERS)


def fill(
    root: Path, trained: dict[str, Path], answers: Sequence[dict[str, Any]], **spec: Any
) -> RunFolder:
    root.mkdir(exist_ok=True)
    base = {"model": str(trained["model"]), "precision": "fp32"}
    values = {"adapter": str(trained["adapter"]), "base": base, **spec}
    (root / "scoring.json").write_text(json.dumps(values))
    write_lines(root / "answers.jsonl", answers)
    return RunFolder(root)


def score(folder: RunFolder) -> bool:
    return score_folder(folder, StopRequest(), [])


def scores(folder: RunFolder) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder.root / "scores.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines)
    return {line["id"]: line["reward"] for line in lines}


def own_rewards(trained: dict[str, Path]) -> dict[int, float]:
    """Each answer alone through transformers and PEFT, its reward read off the last token."""
    base = load_base(Base(model=str(trained["model"]), precision="fp32"))
    model = load_adapter(base.model, read_adapter(trained["adapter"])).eval()
    head, chat = load_head(trained["adapter"]), Chat(base.tokenizer)
    found = {}
    for answer in ANSWERS:
        text = chat.prompt(answer["messages"]) + answer["completion"]
        ids = base.tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += () if answer.get("finish_reason") == "length" else chat.end
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1]
            found[answer["id"]] = head(states[0, -1]).item()
    return found


@pytest.mark.parametrize("attention", ["packed", "unpacked"])
def test_the_rewards_are_the_model_s_own(
    attention: str, tmp_path: Path, trained: dict[str, Path]
) -> None:
    base = {"model": str(trained["model"]), "precision": "fp32", "attention": attention}
    folder = fill(tmp_path / "scores", trained, ANSWERS, base=base)
    assert score(folder)
    found = scores(folder)
    assert found == pytest.approx(own_rewards(trained), abs=1e-4)
    assert found[7] == found[20], "equal answers have equal rewards"
    assert found[7] != pytest.approx(found[21], abs=1e-3), "one that was cut off has no end"
    assert len({round(reward, 4) for reward in found.values()}) == 5
    beat = json.loads(folder.heartbeat.read_text())
    assert (beat["phase"], beat["step"], beat["steps"]) == ("scoring", 6, 6)


def test_they_agree_with_the_run_s_own_evaluation(tmp_path: Path, trained: dict[str, Path]) -> None:
    """The share of held-out pairs in their right order is the accuracy that the run measured."""
    measured = json.loads((trained["run"] / "evaluation.json").read_text())["accuracy"]
    answers = [
        {"id": one["id"], "messages": row["prompt"], "completion": one["text"]}
        for row in map(ranking, HELD_OUT)
        for one in row["completions"]
    ]
    folder = fill(tmp_path / "scores", trained, answers)
    score(folder)
    found = scores(folder)
    right = []
    for number in HELD_OUT:
        tiers = held_out_ranking(number)["tiers"]
        first, second, third = (found[number * 10 + place] for (place,) in tiers)
        right += [first > second, first > third, second > third]
    assert measured["count"] == len(right)
    assert measured["value"] == pytest.approx(sum(right) / len(right))
    assert 0 < measured["value"] < 1, "a model that is always right would prove little"


def test_started_again_it_scores_what_is_missing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(folder)
    whole = scores(folder)
    kept = {number: whole[number] for number in (7, 3)}
    lines = [json.dumps({"id": number, "reward": reward}) for number, reward in kept.items()]
    (folder.root / "scores.jsonl").write_text("\n".join(lines) + '\n{"id": 11, "rew')
    assert score(folder)
    assert scores(folder) == pytest.approx(whole, abs=1e-5)

    folder.write_json(folder.result, {"state": "finished"})
    monkeypatch.setattr(judge, "load_base", lambda *_, **__: pytest.fail("nothing is left to do"))
    assert not score(folder)
    folder.result.unlink()
    assert score(folder), "killed before it could say that it was finished"


def test_rewards_of_another_model_are_not_kept(folder: RunFolder) -> None:
    (folder.root / "scores.jsonl").write_text('{"id": 7, "reward": 99.0}\n')
    folder.write_json(folder.manifest, {"adapter": "0" * 64})
    score(folder)
    assert scores(folder)[7] != 99.0


def test_it_stops_between_packs_and_keeps_what_it_has(
    tmp_path: Path, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "scores", trained, ANSWERS, tokens_per_pack=60)
    stop = StopRequest()
    real = judge.Judge.rewards

    def once(self: judge.Judge, batch: Any) -> dict[int, float]:
        stop.request()
        return real(self, batch)

    monkeypatch.setattr(judge.Judge, "rewards", once)
    with pytest.raises(Stopped):
        score_folder(folder, stop, [])
    assert 0 < len(scores(folder)) < len(ANSWERS)
    score(folder)
    assert len(scores(folder)) == len(ANSWERS)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "answers.jsonl:2.*not JSON"),
        ("[1]", "not a JSON object"),
        ('{"id": "7"}', "answers.jsonl:2: the id is not a whole number"),
        ('{"id": 8, "messages": [], "completion": null}', "the completion is not a text"),
        ('{"id": 8, "messages": [], "completion": "a"}', "the prompt is empty"),
        ('{"id": 8, "completion": "a"}', "not a text or a list"),
        (json.dumps(ANSWERS[0]), "the id 7 was there before"),
        (
            '{"id": 8, "messages": [{"role": "assistant", "content": "a"}], "completion": "a"}',
            "does not end with the user's turn",
        ),
    ],
)
def test_a_wrong_line_is_named(line: str, said: str, folder: RunFolder) -> None:
    (folder.root / "answers.jsonl").write_text(f"{json.dumps(ANSWERS[0])}\n{line}\n")
    with pytest.raises(DataError, match=said) as refused:
        score(folder)
    assert "Each line is" in refused.value.advice


def test_no_answers_are_refused(folder: RunFolder) -> None:
    (folder.root / "answers.jsonl").write_text("\n")
    with pytest.raises(DataError, match="has no answers"):
        score(folder)
    (folder.root / "answers.jsonl").unlink()
    with pytest.raises(DataError, match=r"There is no answers\.jsonl"):
        score(folder)


def test_what_is_no_reward_model_of_this_base_is_refused(
    tmp_path: Path, trained: dict[str, Path]
) -> None:
    other = save_tiny("llama", tmp_path / "other", seed=5)
    base = {"model": str(other), "precision": "fp32"}
    with pytest.raises(SpecError, match="was trained on another base"):
        score(fill(tmp_path / "scores", trained, ANSWERS, base=base))
    with pytest.raises(SpecError, match="there is no folder"):
        score(fill(tmp_path / "scores", trained, ANSWERS, adapter="nowhere"))
    with pytest.raises(SpecError, match=r"budget: there is no such field"):
        score(fill(tmp_path / "scores", trained, ANSWERS, budget=5))
    with pytest.raises(SpecError, match="it must be at least 1"):
        score(fill(tmp_path / "scores", trained, ANSWERS, tokens_per_pack=0))


def test_an_answer_longer_than_the_base_reads_is_refused(
    tmp_path: Path, trained: dict[str, Path]
) -> None:
    long = {"id": 1, "messages": QUESTION, "completion": "word " * 300}
    with pytest.raises(SpecError, match="reads 1,024 at most") as refused:
        score(fill(tmp_path / "scores", trained, [long]))
    assert "answers.jsonl" in refused.value.advice


def test_the_module_is_the_command(folder: RunFolder) -> None:
    (folder.root / "scoring.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "training.engine.scoring", str(folder.root)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert "The spec is no JSON" in done.stderr
    result = json.loads(folder.result.read_text())
    assert (result["state"], result["error"]) == ("failed", "SpecError")
    assert work.SPEC == "scoring.json"
