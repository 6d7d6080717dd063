"""KTO by TRL: what rankings say of single completions, and that it trains the adapter only."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from tests.training.data.samples import load, write
from tests.training.data.samples import ranking as ranking_row
from tests.training.tiny import tiny_tokenizer
from tests.training.trl_runs import Told, make_spec, model_folder, told_by, write_lines
from training.engine.adapters import REFERENCE
from training.engine.data import load_preferences
from training.engine.errors import DataError, Stopped
from training.engine.groups import Group, Pair, Ranking
from training.engine.methods.kto import dataset, run_kto
from training.engine.methods.kto_labels import balanced, judged, labels_of, shuffled, silent
from training.engine.methods.sft import run_sft
from training.engine.methods.trl_session import train_policy
from training.engine.process import RunFolder
from training.engine.spec import KTO, Method, RunSpec

WEIGHTS = "adapter_model.safetensors"

ONE, TWO, THREE, FOUR = (11, 2), (12, 2), (13, 2), (14, 2)


def group(*rankings: Ranking) -> Group:
    return Group("g", (5, 6), (ONE, TWO, THREE, FOUR), rankings)


def strict(*pairs: tuple[int, int]) -> tuple[Pair, ...]:
    return tuple(Pair(winner, loser) for winner, loser in pairs)


def said(*groups: Group) -> list[tuple[tuple[int, ...], bool]]:
    return [(one.completion, one.desirable) for one in judged(groups, "tiers")]


def flagged(*groups: Group) -> list[tuple[tuple[int, ...], bool]]:
    return [(one.completion, one.desirable) for one in judged(groups, "flags")]


def test_the_best_tier_is_desirable_and_the_worst_is_not() -> None:
    pairs = strict((0, 1), (0, 2), (0, 3), (1, 3), (2, 3))
    ranking = Ranking(((0,), (1, 2), (3,)), pairs)
    assert said(group(ranking)) == [(ONE, True), (FOUR, False)]


def test_all_members_of_a_tied_best_tier_are_desirable() -> None:
    pairs = (Pair(0, 1, target=0.5), *strict((0, 2), (1, 2)))
    assert said(group(Ranking(((0, 1), (2,)), pairs))) == [
        (ONE, True),
        (TWO, True),
        (THREE, False),
    ]


def test_a_ranking_of_ties_says_nothing() -> None:
    assert said(group(Ranking(((0, 1),), (Pair(0, 1, target=0.5),)))) == []


def test_who_wins_no_comparison_is_not_desirable() -> None:
    """As an unacceptable completion of the best tier, its comparisons dropped."""
    assert said(group(Ranking(((0, 1), (2,)), strict((0, 2))))) == [(ONE, True), (THREE, False)]


def test_every_ranking_of_a_group_counts() -> None:
    first, second = Ranking(((0,), (1,)), strict((0, 1))), Ranking(((1,), (0,)), strict((1, 0)))
    assert said(group(first, second)) == [(ONE, True), (TWO, False), (TWO, True), (ONE, False)]


def test_flags_decide_for_every_completion() -> None:
    """The worst of three acceptable ones is desirable; of three unacceptable ones none is."""
    fine = Ranking(((0,), (1,), (2,)), strict((0, 1), (0, 2), (1, 2)))
    bad = Ranking(((0,), (1,), (2,)), (), unacceptable=frozenset({0, 1, 2}))
    mixed = Ranking(((3,), (0, 1)), strict((3, 0), (3, 1)), unacceptable=frozenset({1}))
    assert flagged(group(fine)) == [(ONE, True), (TWO, True), (THREE, True)]
    assert flagged(group(bad)) == [(ONE, False), (TWO, False), (THREE, False)]
    assert flagged(group(mixed)) == [(FOUR, True), (ONE, True), (TWO, False)]


def test_flags_are_taken_where_there_are_any() -> None:
    plain, marked = Ranking(((0,), (1,)), ()), Ranking(((0,), (1,)), (), 1.0, frozenset({1}))
    assert labels_of(KTO(), [group(plain)]) == "tiers"
    assert labels_of(KTO(), [group(plain), group(plain, marked)]) == "flags"
    assert labels_of(KTO(labels="tiers"), [group(marked)]) == "tiers"
    assert labels_of(KTO(labels="flags"), [group(plain)]) == "flags"


@pytest.mark.parametrize("unacceptable", ["keep", "drop_winners"])
def test_an_unacceptable_ranking_of_a_file_says_what_not_to_write(
    tmp_path: Path, unacceptable: str
) -> None:
    """Whatever the data settings make of its comparisons, as a snapshot's are for KTO."""
    marks = [[True, True, True], [False, False, True], []]
    rows = [
        ranking_row(number, tiers=[[0], [1], [2]], strengths=[], unacceptable=one)
        for number, one in enumerate(marks)
    ]
    file = write(tmp_path / "rankings.jsonl", rows)
    found = load(Method.KTO, rankings=(file,), ties="drop", unacceptable=unacceptable)
    by_flags = [one.desirable for one in judged(found.train, labels_of(KTO(), found.train))]
    assert by_flags == [False] * 3 + [True, True, False] + [True] * 3
    # One that leaves no comparison reaches KTO alone.
    others = load(Method.DPO, rankings=(file,), ties="drop", unacceptable=unacceptable)
    assert len(others.train) == (3 if unacceptable == "keep" else 2)


def test_rankings_that_say_nothing_are_counted() -> None:
    tied = Ranking(((0, 1),), (Pair(0, 1, target=0.5),))
    dropped = Ranking(((0,), (1,)), (), 1.0, frozenset({0, 1}), frozenset({0, 1}))
    told = Ranking(((0,), (1,)), strict((0, 1)))
    assert silent([group(tied, dropped, told), group(tied)], "tiers") == 3
    assert silent([group(tied, dropped, told), group(tied)], "flags") == 0


def test_the_rarer_kind_weighs_more() -> None:
    """Three desirable to one undesirable: 3 x 1 = 1 x 3 (eq. 8), then the spec's weights."""
    pairs = strict((0, 3), (1, 3), (2, 3))
    examples = judged([group(Ranking(((0, 1, 2), (3,)), pairs))], "tiers")
    assert balanced(KTO(), examples) == (1.0, 3.0)
    assert balanced(KTO(desirable_weight=1.2), examples) == (1.2, 3.0)


def test_one_kind_alone_is_refused() -> None:
    with pytest.raises(DataError, match="have only tied ones"):
        balanced(KTO(), [])


def test_mismatched_completions_come_from_the_example_before() -> None:
    pairs = strict((0, 1))
    rows = dataset(judged([group(Ranking(((0,), (1,)), pairs))], "tiers"))
    assert [row["completion_ids"] for row in rows] == [list(ONE), list(TWO)]
    assert [row["KL_completion_ids"] for row in rows] == [list(TWO), list(ONE)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("kto"))


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    rows = [
        {"prompt": f"{number}?", "chosen": "yes" * number, "rejected": "no"}
        for number in range(1, 6)
    ]
    return write_lines(tmp_path / "pairs.jsonl", rows)


def run(root: Path, spec: RunSpec, name: str = "run", *, stop_after: int | None = None) -> Told:
    return told_by(run_kto, spec, RunFolder(root / name), stop_after=stop_after)


@pytest.mark.parametrize("groups_per_step", [3, 5])
def test_the_size_of_packs_changes_nothing(
    tmp_path: Path, model: Path, pairs: str, groups_per_step: int
) -> None:
    """Ten rows, six or ten a step: two at a time, which leaves uneven parts, or all together."""
    held_out = write_lines(
        tmp_path / "held_out.jsonl",
        [{"prompt": f"{n}!", "chosen": "yes", "rejected": "no" * n} for n in range(1, 5)],
    )
    told, weights = [], []
    for budget in (8, 20_000):
        spec = make_spec(
            "kto",
            model,
            {"pairs": [pairs], "evaluation_pairs": [held_out]},
            training={
                "max_steps": 4,
                "groups_per_step": groups_per_step,
                "tokens_per_pack": budget,
                "evaluate_every": 2,
            },
            evaluation={"answers": 0},
        )
        told.append(run(tmp_path, spec, f"by {budget}"))
        weights.append(load_file(tmp_path / f"by {budget}" / "adapter" / WEIGHTS))
    small, large = told
    for name in ("loss", "kl", "grad_norm", "evaluation_loss", "evaluation_kl"):
        assert small.column(name) == pytest.approx(large.column(name), rel=1e-3, abs=1e-5), name
    assert max(large.column("kl")) > 0
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-2, atol=1e-4)


def test_the_loss_of_a_step_by_hand(tmp_path: Path, model: Path, pairs: str) -> None:
    """Of all rows at once, by transformers and PEFT alone: eq. 7 with z over the whole step.

    The policy starts from a parent and is held to the base, so nothing is zero.
    """
    shown = write_lines(tmp_path / "shown.jsonl", [{"prompt": "1?", "completion": "yesyes"}])
    quick = {"evaluation": {"answers": 0}}
    data = {"demonstrations": [shown]}
    sft = make_spec("sft", model, data, training={"max_steps": 6}, **quick)
    told_by(run_sft, sft, RunFolder(tmp_path / "sft"))
    parent = tmp_path / "sft" / "adapter"
    spec = make_spec(
        "kto",
        model,
        {"pairs": [pairs]},
        parent={"adapter": str(parent), "use": "continue"},
        kto={"beta": 0.3},
        training={"max_steps": 1, "groups_per_step": 5, "tokens_per_pack": 8},
        **quick,
    )
    told = run(tmp_path, spec)

    base: Any = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32)
    policy: Any = PeftModel.from_pretrained(base, parent)
    groups = load_preferences(spec.data, tiny_tokenizer(), method=Method.KTO).train
    rows = shuffled(judged(groups, "tiers"), spec.training.seed)

    def ratio(prompt: tuple[int, ...], completion: tuple[int, ...]) -> float:
        def logprob() -> float:
            logits = policy(input_ids=torch.tensor([[*prompt, *completion]])).logits[0]
            steps = logits[len(prompt) - 1 : -1].log_softmax(-1)
            return float(steps.gather(1, torch.tensor(completion)[:, None]).sum())

        with torch.no_grad():
            ours = logprob()
            with policy.disable_adapter():
                return ours - logprob()

    before = [rows[-1], *rows[:-1]]
    apart = [ratio(one.prompt, other.completion) for one, other in zip(rows, before, strict=True)]
    z = max(0.0, sum(apart) / len(apart))
    losses = []
    for one in rows:
        gain = ratio(one.prompt, one.completion) - z
        losses.append(1 / (1 + math.exp(0.3 * gain * (1 if one.desirable else -1))))
    assert told.column("loss") == pytest.approx([sum(losses) / len(losses)], rel=1e-4)
    assert told.column("kl") == pytest.approx([z], rel=1e-4, abs=1e-5)


def test_only_the_adapter_changes_and_the_reference_is_the_base(
    tmp_path: Path, model: Path, pairs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(monkeypatch)
    spec = make_spec("kto", model, {"pairs": [pairs]}, training={"max_steps": 2})
    told = run(tmp_path, spec)
    # A fresh adapter is the reference: 1 - sigmoid(0), whatever the example.
    assert told.column("loss")[0] == pytest.approx(0.5, abs=1e-6)
    assert {"kl", "lr", "grad_norm"} <= told.lines[0].keys()
    (trained,) = seen
    assert trained.changed
    assert all("lora" in name and ".default." in name for name in trained.changed)
    assert "ref" not in trained.adapters


class Watched:
    """Which weights of a policy training changed, and its adapters."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.before = {name: one.detach().clone() for name, one in model.named_parameters()}

    @property
    def changed(self) -> list[str]:
        after = self.model.named_parameters()
        return [name for name, one in after if not torch.equal(one, self.before[name])]

    @property
    def adapters(self) -> set[str]:
        return set(self.model.peft_config)  # type: ignore[arg-type]


def watched(monkeypatch: pytest.MonkeyPatch, module: str = "kto") -> list[Watched]:
    found: list[Watched] = []

    def look(policy, trainer, run) -> None:  # type: ignore[no-untyped-def]
        found.append(Watched(policy.model))
        train_policy(policy, trainer, run)

    monkeypatch.setattr(f"training.engine.methods.{module}.train_policy", look)
    return found


def test_a_parent_is_the_reference(
    tmp_path: Path, model: Path, pairs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policy and reference start as the parent: the first loss is that of no difference again."""
    shown = write_lines(tmp_path / "shown.jsonl", [{"prompt": "1?", "completion": "yes"}])
    told_by(
        run_sft,
        make_spec("sft", model, {"demonstrations": [shown]}),
        RunFolder(tmp_path / "sft"),
    )
    parent = {"adapter": str(tmp_path / "sft" / "adapter")}
    seen = watched(monkeypatch)
    first = {}
    for use in ("both", "continue", "reference"):
        spec = make_spec(
            "kto",
            model,
            {"pairs": [pairs]},
            parent=parent | {"use": use},
            training={"max_steps": 1},
        )
        first[use] = run(tmp_path, spec, use).column("loss")[0]
    assert first["both"] == pytest.approx(0.5, abs=1e-6)
    assert first["continue"] != pytest.approx(0.5, abs=1e-4)
    assert first["reference"] != pytest.approx(0.5, abs=1e-4)
    held = seen[0]
    assert REFERENCE in held.adapters
    assert all(".default." in name for name in held.changed)


def test_a_stopped_run_goes_on_with_the_same_losses(
    tmp_path: Path, model: Path, pairs: str
) -> None:
    spec = make_spec("kto", model, {"pairs": [pairs]}, training={"max_steps": 4})
    straight = run(tmp_path, spec, "straight")
    with pytest.raises(Stopped, match="after step 2 of 4"):
        run(tmp_path, spec, "stopped", stop_after=2)
    rest = run(tmp_path, spec, "stopped")
    assert rest.column("loss") == straight.column("loss")[2:]
    assert rest.column("kl") == straight.column("kl")[2:]


def test_held_out_rankings_are_measured_on(tmp_path: Path, model: Path, pairs: str) -> None:
    held_out = write_lines(
        tmp_path / "held_out.jsonl", [{"prompt": "9?", "chosen": "yes", "rejected": "no"}]
    )
    spec = make_spec(
        "kto",
        model,
        {"pairs": [pairs], "evaluation_pairs": [held_out]},
        training={"max_steps": 30, "groups_per_step": 5},
    )
    told = run(tmp_path, spec)
    assert "evaluation_loss" in told.lines[-1]
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["accuracy"]["value"] == 1
    assert evaluation["kl"]["per_token"]["value"] > 0
    assert evaluation["missing"]["general_text"] == "the spec names no general text"
    assert told.column("loss")[-1] < 0.3
