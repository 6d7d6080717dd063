"""KTO by TRL: what rankings say of single completions, and that it trains the adapter only."""

import json
from pathlib import Path

import pytest
import torch

from tests.training.trl_runs import Told, make_spec, model_folder, told_by, write_lines
from training.engine.adapters import REFERENCE
from training.engine.errors import DataError, Stopped
from training.engine.groups import Group, Pair, Ranking
from training.engine.methods.kto import balanced, dataset, judged, run_kto
from training.engine.methods.sft import run_sft
from training.engine.methods.trl_session import train_policy
from training.engine.process import RunFolder
from training.engine.spec import KTO, RunSpec

ONE, TWO, THREE, FOUR = (11, 2), (12, 2), (13, 2), (14, 2)


def group(*rankings: Ranking) -> Group:
    return Group("g", (5, 6), (ONE, TWO, THREE, FOUR), rankings)


def strict(*pairs: tuple[int, int]) -> tuple[Pair, ...]:
    return tuple(Pair(winner, loser) for winner, loser in pairs)


def said(*groups: Group) -> list[tuple[tuple[int, ...], bool]]:
    return [(one.completion, one.desirable) for one in judged(groups)]


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


def test_the_rarer_kind_weighs_more() -> None:
    """Three desirable to one undesirable: 3 x 1 = 1 x 3 (eq. 8), then the spec's weights."""
    pairs = strict((0, 3), (1, 3), (2, 3))
    examples = judged([group(Ranking(((0, 1, 2), (3,)), pairs))])
    assert balanced(KTO(), examples) == (1.0, 3.0)
    assert balanced(KTO(desirable_weight=1.2), examples) == (1.2, 3.0)


def test_one_kind_alone_is_refused() -> None:
    with pytest.raises(DataError, match="have only tied ones"):
        balanced(KTO(), [])


def test_mismatched_completions_come_from_the_example_before() -> None:
    pairs = strict((0, 1))
    rows = dataset(judged([group(Ranking(((0,), (1,)), pairs))]))
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
