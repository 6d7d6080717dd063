"""RLOO and GRPO by TRL: rewards from functions and from reward models, and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.training.test_kto import watched
from tests.training.trl_runs import Told, make_spec, model_folder, told_by, write_lines
from training.engine.adapters import read_adapter
from training.engine.errors import SpecError
from training.engine.methods import online as online_module
from training.engine.methods.online import run_online
from training.engine.methods.reward import run_reward
from training.engine.process import RunFolder
from training.engine.spec import RunSpec

ASKED: list[Any] = []
METHODS = ("rloo", "grpo")


def likes_small_tokens(
    prompts: Sequence[Any], completion_ids: Sequence[Sequence[int]], **others: Any
) -> list[float]:
    """A reward that a program can judge."""
    ASKED.extend(zip(prompts, others["prompt_ids"], strict=True))
    return [-sum(ids) / len(ids) / 100 for ids in completion_ids]


FUNCTION = f"{__name__}:likes_small_tokens"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("online"))


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    rows = [{"prompt": f"{number}?", "chosen": "yes", "rejected": "no"} for number in range(4)]
    return write_lines(tmp_path / "pairs.jsonl", rows)


def make(method: str, model: Path, pairs: str, rewards: Sequence[str], **sections: Any) -> RunSpec:
    online = {"rewards": list(rewards), "generations": 4, "max_new_tokens": 5}
    return make_spec(method, model, {"pairs": [pairs]}, online=online, **sections)


def run(root: Path, spec: RunSpec, name: str = "run") -> Told:
    return told_by(run_online, spec, RunFolder(root / name))


@pytest.mark.parametrize("method", METHODS)
def test_two_steps_change_the_adapter_and_nothing_else(
    method: str, tmp_path: Path, model: Path, pairs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ASKED.clear()
    seen = watched(monkeypatch, "online")
    told = run(tmp_path, make(method, model, pairs, [FUNCTION]))
    (trained,) = seen
    assert trained.changed
    assert all(".default." in name for name in trained.changed)
    assert told.column("step") == [1, 2]
    assert {"reward", "kl", "lr", "loss", "completions_mean_length"} <= told.lines[0].keys()
    assert read_adapter(tmp_path / "run" / "adapter").card["method"] == method
    # Each prompt as messages and as the engine's own tokens, once for each of its completions.
    assert len(ASKED) == 2 * 2 * 4
    messages, tokens = ASKED[0]
    assert messages[0]["role"] == "user"
    assert len(tokens) > len(messages[0]["content"])


def test_the_reward_rises(tmp_path: Path, model: Path, pairs: str) -> None:
    spec = make(
        "rloo",
        model,
        pairs,
        [FUNCTION],
        training={"max_steps": 25, "groups_per_step": 4},
        optimizer={"lr": 0.02},
    )
    rewards = run(tmp_path, spec).column("reward")
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.1


def test_a_reward_model_rewards(
    tmp_path: Path, model: Path, pairs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_by(
        run_reward,
        make_spec("reward", model, {"pairs": [pairs]}),
        RunFolder(tmp_path / "reward"),
    )
    seen = watched(monkeypatch, "online")
    folder = str(tmp_path / "reward" / "adapter")
    told = run(tmp_path, make("grpo", model, pairs, [folder, FUNCTION]))
    (trained,) = seen
    assert all(".default." in name for name in trained.changed)
    line = told.lines[0]
    parts = [line["rewards_adapter_mean"], line["rewards_likes_small_tokens_mean"]]
    assert sum(parts) == pytest.approx(line["reward"], rel=1e-3)


def test_held_out_prompts_are_answered_and_rewarded(
    tmp_path: Path, model: Path, pairs: str
) -> None:
    held_out = write_lines(
        tmp_path / "held_out.jsonl", [{"prompt": "9?", "chosen": "yes", "rejected": "no"}]
    )
    spec = make("rloo", model, pairs, [FUNCTION], training={"max_steps": 1})
    data = spec.data.model_copy(update={"evaluation_pairs": (held_out,)})
    told = run(tmp_path, spec.model_copy(update={"data": data}))
    assert "evaluation_reward" in told.lines[-1]


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        ("no.such.module:function", "cannot be imported"),
        (f"{__name__}:nothing", "cannot be imported"),
        (f"{__name__}:METHODS", "is no function"),
    ],
)
def test_a_function_that_is_not_there_is_refused(
    reward: str, words: str, tmp_path: Path, model: Path, pairs: str
) -> None:
    with pytest.raises(SpecError, match=words):
        run(tmp_path, make("rloo", model, pairs, [reward]))


def test_an_adapter_that_is_no_reward_model_is_refused(
    tmp_path: Path, model: Path, pairs: str
) -> None:
    run(tmp_path, make("rloo", model, pairs, [FUNCTION], training={"max_steps": 1}), "policy")
    folder = str(tmp_path / "policy" / "adapter")
    with pytest.raises(SpecError, match="is no reward model"):
        run(tmp_path, make("rloo", model, pairs, [folder]))


SEEN: list[list[int]] = []


def remembers(completion_ids: Sequence[Sequence[int]], **others: Any) -> list[float]:
    SEEN.extend(list(ids) for ids in completion_ids)
    return [float(len(ids)) for ids in completion_ids]


@pytest.mark.parametrize("method", METHODS)
def test_answers_stop_at_the_end_of_the_turn_although_it_is_not_the_end_of_a_text(
    method: str, tmp_path: Path, pairs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shape of a base model with a chat template: ChatML, and <|endoftext|> as eos."""
    place = model_folder(tmp_path)
    of: Any = AutoTokenizer.from_pretrained(place)
    of.eos_token = "<|endoftext|>"
    of.save_pretrained(place)
    for name in ("config.json", "generation_config.json"):
        values = json.loads((place / name).read_text())
        (place / name).write_text(json.dumps({**values, "eos_token_id": 0}))
    end = of.convert_tokens_to_ids("<|im_end|>")
    masks: list[Any] = []
    trainer = online_module._Rloo if method == "rloo" else online_module._Grpo
    inner = trainer._generate_and_score_completions

    def watching(self: Any, inputs: Any) -> Any:
        made = inner(self, inputs)
        masks.append((made["completion_ids"], made["completion_mask"]))
        return made

    monkeypatch.setattr(trainer, "_generate_and_score_completions", watching)
    SEEN.clear()
    online = {"rewards": [f"{__name__}:remembers"], "generations": 8, "max_new_tokens": 60}
    run(tmp_path, make_spec(method, place, {"pairs": [pairs]}, online=online))

    ended = [ids for ids in SEEN if end in ids]
    assert len(ended) > 2
    assert all(ids.index(end) == len(ids) - 1 for ids in ended)
    for ids, mask in masks:
        for row, counted in zip(ids.tolist(), mask.tolist(), strict=True):
            learned = [token for token, one in zip(row, counted, strict=True) if one]
            assert end not in learned[:-1]
