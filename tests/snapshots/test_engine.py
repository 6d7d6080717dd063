"""The training engine reads a snapshot as it lies in the storage, by the manifest's own word."""

from typing import Any

import pytest

from annotate.models import Project, Prompt, User
from tests import cast
from tests.snapshots.conftest import Make, Rank, folder_of
from tests.training.tiny import tiny_tokenizer
from training.engine.data import load_demonstrations, load_preferences, load_prompts
from training.engine.spec import Data, Method
from training.models import Snapshot
from training.snapshots.spec import Aggregation

FILES = ("rankings", "demonstrations", "evaluation_rankings", "evaluation_demonstrations")


def data_of(snapshot: Snapshot, method: str) -> Data:
    assert snapshot.manifest is not None
    said: dict[str, Any] = snapshot.manifest["methods"][method]
    folder = folder_of(snapshot)
    return Data(
        **{
            name: tuple(str(folder / path) for path in value) if name in FILES else value
            for name, value in said.items()
        }
    )


@pytest.fixture
def ranked(tone: Project, ada: User, lena: User, luis: User, rank: Rank) -> None:
    """Lena and Luis ranked two prompts to train on and a held-out one."""
    prompts = cast.add_prompts(tone, 3)
    round_ = cast.make_round(tone, ada, overlap=2)
    cast.write_completions(round_)
    for labeler in (lena, luis):
        for _ in prompts:
            rank(labeler, [1], [0, 3], [2], strengths=[2, 1], demonstration="Better.")
    held = round_.tasks.order_by("position")[2].prompt_id
    Prompt.objects.filter(pk=held).update(split="held_out")


@pytest.mark.parametrize("how", Aggregation)
@pytest.mark.parametrize("method", ["reward", "dpo", "kto"])
def test_preferences(ranked: None, make: Make, how: Aggregation, method: str) -> None:
    data = data_of(make(aggregation=how), method)
    found = load_preferences(data, tiny_tokenizer(), method=Method(method))
    assert (len(found.train), len(found.evaluation)) == (2, 1)
    assert found.report.dropped == ()
    group = found.train[0]
    assert len(group.rankings) == (2 if how is Aggregation.EVERY else 1)
    for ranking in group.rankings:
        assert ranking.tiers == ((1,), (0, 3), (2,))
        assert ranking.weight == (1 if how is Aggregation.EVERY else 2)
        margins = {(pair.winner, pair.loser): pair.margin for pair in ranking.pairs}
        if method == "reward":
            assert margins == {(1, 0): 2, (1, 3): 2, (1, 2): 3, (0, 2): 1, (3, 2): 1, (0, 3): 0}
        else:
            assert set(margins) == {(1, 0), (1, 3), (1, 2), (0, 2), (3, 2)}


def test_demonstrations_and_prompts(ranked: None, make: Make) -> None:
    snapshot = make()
    answers = load_demonstrations(data_of(snapshot, "sft"), tiny_tokenizer())
    assert (len(answers.train), len(answers.evaluation)) == (4, 2)
    asked = load_prompts(data_of(snapshot, "grpo"), tiny_tokenizer())
    assert (len(asked.train), len(asked.evaluation)) == (2, 1)
