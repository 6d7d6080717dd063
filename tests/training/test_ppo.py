"""Whole PPO runs on a tiny model: rewards from functions and models, resume, what they leave."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.tiny import save_tiny
from tests.training.trl_runs import Told, make_spec, model_folder, told_by, write_lines
from training.engine.adapters import read_adapter
from training.engine.errors import SpecError, Stopped
from training.engine.methods.ppo import run_ppo
from training.engine.methods.reward import run_reward
from training.engine.process import RunFolder
from training.engine.spec import RunSpec

ASKED: list[Any] = []


def likes_small_tokens(
    prompts: Sequence[Any], completion_ids: Sequence[Sequence[int]], **others: Any
) -> list[float]:
    """A reward that a program can judge."""
    ASKED.extend(zip(prompts, others["prompt_ids"], others["completions"], strict=True))
    return [-sum(ids) / len(ids) / 100 for ids in completion_ids]


FUNCTION = f"{__name__}:likes_small_tokens"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("ppo"))


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    rows = [{"prompt": f"{number}?", "chosen": "yes", "rejected": "no"} for number in range(6)]
    return write_lines(tmp_path / "pairs.jsonl", rows)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory, model: Path) -> str:
    root = tmp_path_factory.mktemp("judge")
    rows = [{"prompt": f"{number}?", "chosen": "yes", "rejected": "no"} for number in range(4)]
    spec = make_spec("reward", model, {"pairs": [write_lines(root / "pairs.jsonl", rows)]})
    told_by(run_reward, spec, RunFolder(root / "run"))
    return str(root / "run" / "adapter")


def make(model: Path, pairs: str, rewards: Sequence[str], **sections: Any) -> RunSpec:
    ppo = {
        "rewards": list(rewards),
        "samples": 2,
        "max_new_tokens": 6,
        "kl_stop": None,
        **sections.pop("ppo", {}),
    }
    data = {"pairs": [pairs], **sections.pop("data", {})}
    return make_spec("ppo", model, data, ppo=ppo, **sections)


def run(root: Path, spec: RunSpec, name: str = "run", **options: Any) -> Told:
    return told_by(run_ppo, spec, RunFolder(root / name), **options)


def test_two_steps_and_what_they_leave(tmp_path: Path, model: Path, pairs: str) -> None:
    ASKED.clear()
    told = run(tmp_path, make(model, pairs, [FUNCTION]))
    assert told.column("step") == [1, 2]
    assert {
        "reward",
        "score",
        "kl",
        "kl_coef",
        "entropy",
        "clip_fraction",
        "value_clip_fraction",
        "value_loss",
        "explained_variance",
        "length",
        "end_rate",
        "approx_kl",
        "mismatch_kl",
        "importance",
        "rollout_age",
        "rollout_tokens_per_s",
        "update_tokens_per_s",
        "tokens_per_s",
        "lr",
        "alarms",
    } <= told.lines[0].keys()
    assert told.lines[0]["kl"] == 0, "the actor starts as its reference"
    assert abs(told.lines[0]["mismatch_kl"]) < 1e-5
    assert told.lines[1]["kl"] != 0
    assert told.lines[0]["updates"] == 4
    assert read_adapter(tmp_path / "run" / "adapter").card["method"] == "ppo"
    table = rows(tmp_path / "run")
    assert len(table) == 2 * 2 * 2
    assert table[0].keys() == {
        "step",
        "prompt",
        "answer",
        "finished",
        "tokens",
        "reward",
        "rewards",
        "score",
        "kl",
        "values",
    }
    assert table[0]["prompt"][-1]["role"] == "user"
    assert len(table[0]["values"]) == table[0]["tokens"]
    messages, tokens, completion = ASKED[-1]
    assert messages[0]["role"] == "user"
    assert len(tokens) > len(messages[0]["content"])
    assert completion[0]["role"] == "assistant"


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rollouts.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("baseline", ["critic", "rloo"])
def test_the_reward_rises(tmp_path: Path, pairs: str, baseline: str) -> None:
    """Larger weights than usual: the logits of the other tiny model hardly differ at best."""
    spec = make(
        save_tiny("llama", tmp_path / "lively", initializer_range=0.3),
        pairs,
        [FUNCTION],
        ppo={"samples": 8, "baseline": baseline, "kl_coef": 0.01, "missing_end_penalty": 0.0},
        training={"max_steps": 10, "groups_per_step": 6},
        optimizer={"lr": 0.01},
    )
    told = run(tmp_path, spec)
    rewards = told.column("score")
    assert sum(rewards[-3:]) / 3 > rewards[0] + 0.7
    assert ("value_loss" in told.lines[0]) == (baseline == "critic")


def test_a_reward_model_of_the_same_base_warms_the_critic(
    tmp_path: Path, model: Path, pairs: str, judge: str
) -> None:
    spec = make(model, pairs, [judge, FUNCTION], ppo={"reward_weights": [2.0, 0.5]})
    told = run(tmp_path, spec)
    line = told.lines[0]
    parts = 2 * line["reward_0"] + 0.5 * line["reward_likes_small_tokens"]
    assert line["reward"] == pytest.approx(parts, rel=1e-4)
    values = [value for row in rows(tmp_path / "run")[:4] for value in row["values"]]
    assert any(values), "a cold critic says 0 in the first step"
    cold = run(tmp_path, make(model, pairs, [judge], ppo={"warm_critic": False}), "cold")
    assert cold.lines[0]["value"] == 0


def test_a_run_goes_on_with_the_critic_of_its_parent(
    tmp_path: Path, model: Path, pairs: str, judge: str
) -> None:
    """The critic expects again what it has learned to; of other rewards it says nothing.

    A scale of another run, at another seed: what it says is compared in units of the rewards.
    """
    training = {"max_steps": 8, "groups_per_step": 6}
    plain = {"normalize_rewards": False, "warm_critic": False, "kl_coef": 0.0}
    first = run(tmp_path, make(model, pairs, [judge], ppo=plain, training=training), "first")
    parent = {"adapter": str(tmp_path / "first" / "adapter"), "use": "both"}
    again = {"training": {**training, "max_steps": 1, "seed": 7}, "parent": parent}

    same = run(tmp_path, make(model, pairs, [judge], ppo=plain, **again), "same")
    scaled = {**plain, "normalize_rewards": True, "reward_clip": None}
    run(tmp_path, make(model, pairs, [judge], ppo=scaled, **again), "scaled")
    other = run(tmp_path, make(model, pairs, [FUNCTION], ppo=plain, **again), "other")

    assert first.lines[0]["value"] == 0, "a fresh critic says 0"
    learned = first.lines[-1]["value"]
    assert abs(learned) > 0.02
    assert same.lines[0]["value"] == pytest.approx(learned, rel=0.3)
    made = json.loads((tmp_path / "scaled" / "run.json").read_text())["reward_scale"]
    for ours, theirs in zip(rows(tmp_path / "same"), rows(tmp_path / "scaled"), strict=True):
        assert ours["answer"] == theirs["answer"]
        raw = [value * made["deviation"] + made["mean"] for value in theirs["values"]]
        assert raw == pytest.approx(ours["values"], abs=5e-3)
    assert not any("critic" in one for one in same.warnings)
    assert any("learned to expect other rewards" in one for one in other.warnings)
    assert other.lines[0]["value"] == 0


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_a_reward_model_of_another_base_is_a_model_of_its_own(
    tmp_path: Path, model: Path, pairs: str, kind: str
) -> None:
    other = save_tiny(kind, tmp_path / "other", seed=5)
    reward = make_spec("reward", other, {"pairs": [pairs]}, training={"max_steps": 1})
    told_by(run_reward, reward, RunFolder(tmp_path / "reward"))
    judge = str(tmp_path / "reward" / "adapter")
    with pytest.raises(SpecError, match="trained on another base") as refused:
        run(tmp_path, make(model, pairs, [judge]))
    assert "ppo.reward_base" in refused.value.advice
    spec = make(model, pairs, [judge], ppo={"reward_base": str(other)}, training={"max_steps": 1})
    told = run(tmp_path, spec)
    (warning,) = [one for one in told.warnings if "MB beside base.model" in one]
    assert "takes" in warning
    assert told.lines[0]["reward_0"] == told.lines[0]["reward"]


def test_a_stopped_run_goes_on_exactly(tmp_path: Path, model: Path, pairs: str, judge: str) -> None:
    """Weights of both roles, optimizer, coefficient, scale, order and sampling are as in one go."""
    spec = make(
        model,
        pairs,
        [judge, FUNCTION],
        ppo={"kl_target": 0.5, "kl_horizon": 20, "temperature": 0.8},
        training={"max_steps": 4, "checkpoint_every": 2},
        optimizer={"schedule": "linear"},
    )
    whole = run(tmp_path, spec, "whole")
    with pytest.raises(Stopped, match="after step 2 of 4"):
        run(tmp_path, spec, "broken", stop_after=2)
    rest = run(tmp_path, spec, "broken")
    names = ("score", "kl", "kl_coef", "policy_loss", "value_loss", "lr")
    for ours, theirs in zip(rest.lines, whole.lines[2:], strict=True):
        assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}
    assert rest.lines[0]["kl_coef"] != spec.ppo.kl_coef  # type: ignore[union-attr]
    assert rows(tmp_path / "broken") == rows(tmp_path / "whole")
    hashes = [
        read_adapter(tmp_path / name / "adapter").card["files"]["adapter_model.safetensors"]
        for name in ("whole", "broken")
    ]
    assert hashes[0] == hashes[1]


def test_the_token_budget_changes_no_metric(tmp_path: Path, model: Path, pairs: str) -> None:
    lines = []
    for budget in (4096, 150):
        spec = make(model, pairs, [FUNCTION], training={"tokens_per_pack": budget})
        lines.append(run(tmp_path, spec, f"run-{budget}").lines)
    for large, small in zip(*lines, strict=True):
        for name in ("score", "kl", "policy_loss", "value_loss", "grad_norm", "entropy"):
            assert small[name] == pytest.approx(large[name], rel=1e-3, abs=1e-5), name


def test_a_step_that_moves_too_far_ends_early(tmp_path: Path, model: Path, pairs: str) -> None:
    spec = make(
        model,
        pairs,
        [FUNCTION],
        ppo={"kl_stop": 1e-6, "epochs": 3},
        training={"max_steps": 1},
        optimizer={"lr": 0.05},
    )
    line = run(tmp_path, spec).lines[0]
    assert (line["stopped_early"], line["updates"]) == (1.0, 1.0)


def test_a_step_of_one_prompt_makes_no_empty_updates(
    tmp_path: Path, model: Path, pairs: str
) -> None:
    """One prompt in two minibatches is one update a pass, as with one minibatch."""
    found = []
    for minibatches in (1, 2):
        spec = make(
            model,
            pairs,
            [FUNCTION],
            ppo={"minibatches": minibatches, "epochs": 2},
            training={"groups_per_step": 1},
        )
        found.append(run(tmp_path, spec, f"by {minibatches}"))
    whole, halves = found
    assert halves.column("updates") == [2, 2]
    # The first update of a step moves nothing yet; phantom tokens would pull the mean below.
    assert halves.column("ratio")[0] > 0.99
    for name in ("ratio", "approx_kl", "value_loss", "grad_norm", "update_entropy", "score", "kl"):
        assert halves.column(name) == whole.column(name), name
    first, second = (read_adapter(tmp_path / f"by {n}" / "adapter") for n in (1, 2))
    weights = [load_file(one.folder / "adapter_model.safetensors") for one in (first, second)]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name


def test_ptx_keeps_predicting_demonstrations(tmp_path: Path, model: Path, pairs: str) -> None:
    shown = write_lines(
        tmp_path / "shown.jsonl",
        [{"prompt": f"say {n}", "completion": "yes"} for n in range(4)],
    )
    spec = make(
        model,
        pairs,
        [FUNCTION],
        ppo={"ptx_weight": 5.0, "entropy_weight": 0.01},
        training={"max_steps": 6},
        data={"demonstrations": [shown]},
    )
    losses = run(tmp_path, spec).column("ptx_loss")
    assert losses[-1] < 0.7 * losses[0]
    with pytest.raises(SpecError, match="nothing to go on predicting"):
        run(tmp_path, make(model, pairs, [FUNCTION], ppo={"ptx_weight": 5.0}), "without")


def test_held_out_rankings_and_prompts_are_measured(
    tmp_path: Path, model: Path, pairs: str, judge: str
) -> None:
    held_out = write_lines(
        tmp_path / "held_out.jsonl",
        [{"prompt": f"{n}!", "chosen": "yes", "rejected": "no"} for n in range(3)],
    )
    spec = make(
        model,
        pairs,
        [judge],
        ppo={"kl_bound": 1e-9},
        training={"evaluate_every": 1},
        evaluation={"answers": 2, "max_new_tokens": 4},
        data={"evaluation_pairs": [held_out]},
    )
    told = run(tmp_path, spec)
    names = {"evaluation_accuracy", "evaluation_reward", "evaluation_length"}
    assert all(names <= line.keys() for line in told.lines)
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["accuracy"]["value"] == told.lines[-1]["evaluation_accuracy"]
    assert evaluation["kl"]["tokens"] > 0
    assert evaluation["length"]["trained"] <= 4
    assert any("further from its reference" in text for text in told.warnings)


def test_the_reference_may_be_another_adapter_than_the_start(
    tmp_path: Path, model: Path, pairs: str
) -> None:
    """use: reference: the policy starts as the base, and is away from its reference at once."""
    run(tmp_path, make(model, pairs, [FUNCTION], optimizer={"lr": 0.05}), "parent")
    kl = {}
    for use in ("both", "reference", "continue"):
        parent = {"adapter": str(tmp_path / "parent" / "adapter"), "use": use}
        spec = make(model, pairs, [FUNCTION], parent=parent, training={"max_steps": 1})
        kl[use] = run(tmp_path, spec, use).lines[0]["kl"]
    assert kl["both"] == 0
    assert kl["reference"] != 0
    assert kl["continue"] != 0


@pytest.mark.parametrize("kind", ["gpt2", "gemma2"])
def test_architectures_that_are_not_packed(tmp_path: Path, pairs: str, kind: str) -> None:
    other = save_tiny(kind, tmp_path / kind)
    told = run(tmp_path, make(other, pairs, [FUNCTION], training={"max_steps": 1}))
    assert abs(told.lines[0]["mismatch_kl"]) < 1e-4


def test_gradient_checkpointing_and_four_bits(tmp_path: Path, model: Path, pairs: str) -> None:
    base = {"precision": "nf4", "gradient_checkpointing": True}
    told = run(tmp_path, make(model, pairs, [FUNCTION], base=base))
    assert told.column("step") == [1, 2]
    assert abs(told.lines[0]["mismatch_kl"]) < 0.05


def test_what_is_refused(tmp_path: Path, model: Path, pairs: str) -> None:
    run(tmp_path, make(model, pairs, [FUNCTION], training={"max_steps": 1}), "policy")
    with pytest.raises(SpecError, match="is no reward model"):
        run(tmp_path, make(model, pairs, [str(tmp_path / "policy" / "adapter")]))
    with pytest.raises(SpecError, match=r"ppo\.rewards: .* cannot be imported"):
        run(tmp_path, make(model, pairs, ["no.such:function"]))
    with pytest.raises(SpecError, match="returned 1 rewards"):
        run(tmp_path, make(model, pairs, [f"{__name__}:one_number"]))


def one_number(**_: Any) -> list[float]:
    return [1.0]


@pytest.mark.parametrize(
    ("ppo", "words"),
    [
        ({"reward_weights": [1.0, 2.0]}, "1 rewards and 2 reward_weights"),
        ({"baseline": "rloo", "samples": 1}, "set samples to 2"),
        ({"server": "here"}, "is no address"),
        ({"server": "http://here:abc"}, "is no address"),
        ({"server": "http://here:99999"}, "is no address"),
        ({"kl_estimator": "k2"}, '"k1" or "k3"'),
    ],
)
def test_a_spec_that_cannot_be_is_refused(ppo: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words):
        make(tmp_path, "pairs.jsonl", [FUNCTION], ppo=ppo)


def test_dropout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"lora\.dropout"):
        make(tmp_path, "pairs.jsonl", [FUNCTION], lora={"dropout": 0.1})
    assert torch.is_grad_enabled()
