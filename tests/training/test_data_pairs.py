from pathlib import Path
from typing import Any

import pytest

from annotate.exchange.preferences import jsonl_preferences, parquet_preferences
from formats.conversation import Flaw
from tests.exchange.sample import HOSTILE, two_labelers
from tests.training.data.samples import (
    answer,
    chatml,
    dropped,
    load,
    load_pairs,
    pair,
    texts,
    user,
)
from training.engine.data import pairs
from training.engine.data.examples import BAD_WEIGHT, MISSING
from training.engine.data.formats import REASONS
from training.engine.groups import Pair, Ranking
from training.engine.spec import Method

TRANSCRIPT = "\n\nHuman: One?\n\nAssistant: 1\n\nHuman: Two:\n\nlines\n\nAssistant:"
TWO = (("user", "One?"), ("assistant", "1"), ("user", "Two:\n\nlines"))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_exported_comparisons_are_groups_of_two(suffix: str, tmp_path: Path) -> None:
    export = jsonl_preferences if suffix == "jsonl" else parquet_preferences
    file = tmp_path / f"pairs.{suffix}"
    file.write_bytes(b"".join(export([two_labelers()])))

    found = load(pairs=(str(file),), max_completion_tokens=1024)

    assert [group.key for group in found.train] == [f"pairs.{suffix}:{n}" for n in range(1, 6)]
    assert texts(found.train[0]) == (
        chatml(("system", "Be brief."), ("user", HOSTILE)),
        [HOSTILE, "Red, green and blue.<|im_end|>"],
    )
    first = Ranking(((0,), (1,)), (Pair(0, 1, margin=2.0),))
    assert found.train[0].rankings == (first,)
    # An unsaid strength asks for no margin.
    assert [group.rankings[0].pairs[0].margin for group in found.train] == [2, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": user("Q"), "chosen": answer("a"), "rejected": answer("b")}, (("user", "Q"),)),
        (
            {"chosen": user("Q") + answer("a"), "rejected": user("Q") + answer("b")},
            (("user", "Q"),),
        ),
        ({"prompt": "Q", "chosen": "a", "rejected": "b"}, (("user", "Q"),)),
        ({"prompt": "Q", "chosen": answer("a"), "rejected": "b"}, (("user", "Q"),)),
        (
            {"prompt": "Q", "chosen": user("Q") + answer("a"), "rejected": user("Q") + answer("b")},
            (("user", "Q"),),
        ),
        ({"chosen": f"{TRANSCRIPT} a", "rejected": f"{TRANSCRIPT} b\n"}, TWO),
        ({"prompt": TRANSCRIPT, "chosen": "a", "rejected": "b"}, TWO),
    ],
)
def test_every_format_of_pairs(
    row: dict[str, Any], prompt: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    (group,) = load_pairs(tmp_path, row).train

    assert texts(group) == (chatml(*prompt), ["a<|im_end|>", "b<|im_end|>"])


@pytest.mark.parametrize(
    ("reason", "row"),
    [
        (pairs.NO_PAIR, {"text": "Q"}),
        (pairs.NO_PAIR, {"prompt": "Q", "tiers": [[0], [1]]}),
        (MISSING, {"prompt": "Q", "chosen": "a"}),
        (MISSING, pair(chosen=None)),
        (pairs.NO_PROMPT, {"chosen": "The sky is blue", "rejected": "The sky is green"}),
        (pairs.SAME, pair(chosen=answer("bad"))),
        (
            pairs.DIFFERENT,
            {"chosen": f"{TRANSCRIPT} a", "rejected": "\n\nHuman: x\n\nAssistant: b"},
        ),
        (pairs.DIFFERENT, pair(chosen=answer("x") + user("y") + answer("good"))),
        (pairs.NO_ANSWER, {"chosen": "\n\nHuman: x", "rejected": "\n\nHuman: x"}),
        (pairs.NO_ANSWER, pair(chosen=user("good"))),
        (pairs.NO_ANSWER, {"chosen": [], "rejected": []}),
        (REASONS[Flaw.EMPTY], {"chosen": answer("a"), "rejected": answer("b")}),
        (REASONS[Flaw.EMPTY], pair(prompt=[])),
        (REASONS[Flaw.EMPTY], pair(prompt=" \n")),
        (REASONS[Flaw.NOT_THE_USERS], pair(prompt=user("Q") + answer("and"))),
        (REASONS[Flaw.NOT_MESSAGES], pair(prompt={"role": "user"})),
        (REASONS[Flaw.NOT_MESSAGES], pair(prompt=["Q"])),
        (REASONS[Flaw.UNKNOWN_ROLE], pair(prompt=[{"role": "tool", "content": "Q"}])),
        (REASONS[Flaw.UNKNOWN_ROLE], pair(prompt=[{"content": "Q"}])),
        (REASONS[Flaw.NO_TEXT], pair(prompt=[{"role": "user", "content": None}])),
        (REASONS[Flaw.NO_TEXT], pair(chosen=[{"role": "assistant", "content": ["a"]}])),
        (REASONS[Flaw.TOOLS], pair(prompt=[{"role": "user", "content": "", "tool_calls": [1]}])),
        (pairs.BAD_MARGIN, pair(margin=-1)),
        (pairs.BAD_MARGIN, pair(margin="wide")),
        (pairs.BAD_MARGIN, pair(margin=100.5)),
        (pairs.BAD_MARGIN, pair(margin=1e30)),
        (BAD_WEIGHT, pair(weight=1e308)),
        (pairs.BAD_STRENGTH, pair(strength=4)),
        (pairs.BAD_STRENGTH, pair(strength=True)),
        (pairs.BAD_MARK, pair(chosen_unacceptable="no")),
        (pairs.BAD_CUT_OFF, pair(rejected_cut_off="no")),
        (pairs.SAME, pair(chosen="a", rejected="a \n")),
    ],
)
def test_a_bad_row_is_counted_and_explained(
    reason: str, row: dict[str, Any], tmp_path: Path
) -> None:
    found = load_pairs(tmp_path, pair(), row)

    assert len(found.train) == 1
    assert dropped(found) == {reason: 1}


def test_an_answer_that_was_cut_off_is_not_ended(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Sky?", "chosen": "Blue.", "rejected": "The colour of the", **cut_off}
        for cut_off in ({"rejected_cut_off": True}, {"chosen_cut_off": True}, {})
    ]

    found = load_pairs(tmp_path, *rows)

    assert [texts(group)[1] for group in found.train] == [
        ["Blue.<|im_end|>", "The colour of the"],
        ["Blue.", "The colour of the<|im_end|>"],
        ["Blue.<|im_end|>", "The colour of the<|im_end|>"],
    ]


def test_the_same_text_once_cut_off_is_not_the_same_answer(tmp_path: Path) -> None:
    row = {"prompt": "Sky?", "chosen": "Blue.", "rejected": "Blue.", "rejected_cut_off": True}

    (group,) = load_pairs(tmp_path, row).train

    assert texts(group)[1] == ["Blue.<|im_end|>", "Blue."]


def test_margins_are_a_reward_models_and_evaluations(tmp_path: Path) -> None:
    rows = [pair(n, **{"strength": 3, **({"margin": 0.25} if n % 2 else {})}) for n in range(40)]

    def margins(method: Method, asked: bool = True) -> tuple[set[float], set[float]]:
        found = load_pairs(tmp_path, *rows, method=method, margins=asked, held_out_fraction=0.5)
        train, evaluation = (
            {group.rankings[0].pairs[0].margin for group in side}
            for side in (found.train, found.evaluation)
        )
        return train, evaluation

    assert margins(Method.REWARD) == ({0.25, 3.0}, {0.25, 3.0})
    assert margins(Method.REWARD, asked=False) == ({0.0}, {0.25, 3.0})
    assert margins(Method.DPO) == ({0.0}, {0.25, 3.0})


def test_a_pair_that_an_unacceptable_completion_wins_can_be_dropped(tmp_path: Path) -> None:
    rows = [pair(1, chosen_unacceptable=True), pair(2, rejected_unacceptable=True, weight=2)]

    assert len(load_pairs(tmp_path, *rows).train) == 2
    (group,) = load_pairs(tmp_path, *rows, unacceptable="drop_winners").train
    assert group.key == "pairs.jsonl:2"
    assert group.weight == 2.0


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    row = {"chosen": f"{TRANSCRIPT} a", "rejected": TRANSCRIPT}

    (group,) = load_pairs(tmp_path, row).train

    assert texts(group)[1] == ["a<|im_end|>", "<|im_end|>"]
