"""Demonstrations of many turns: every turn of the assistant's, behind what a replica would read."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.data.samples import TOKENIZER, answer, chatml, text, user, write
from tests.training.tiny import CHAT_TEMPLATE, tiny_tokenizer
from training.engine.data import Demonstrations, load_demonstrations
from training.engine.data.demonstration_rows import EMPTY
from training.engine.data.drafts import TOO_LONG
from training.engine.data.split import EVALUATED
from training.engine.methods.sft import dataset
from training.engine.spec import Data

TURNS = [*user("one?"), *answer("eins"), *user("two?"), *answer("zwei"), *user("three?")]
THREE = [*TURNS, *answer("drei")]
# As Qwen 3 and DeepSeek: what was thought is no part of the past.
FORGETFUL = CHAT_TEMPLATE.replace(
    "message['content'] +",
    "(message['content'] if loop.last or message['role'] == 'user' "
    "else message['content'].split('</think>')[-1]) +",
)


def shown(folder: Path, *rows: Any, tokenizer: Any = TOKENIZER, **data: Any) -> Demonstrations:
    file = write(folder / "d.jsonl", rows)
    settings = Data(**{"demonstrations": (file,), "held_out_fraction": 0.0, **data})
    return load_demonstrations(settings, tokenizer)


def test_the_loss_is_on_every_turn_of_the_assistants_and_its_end(tmp_path: Path) -> None:
    """Marked by hand: «…» is learned, all else is read only."""
    found = shown(tmp_path, {"messages": THREE})

    marked = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\n«eins<|im_end|>»\n"
        "<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\n«zwei<|im_end|>»\n"
        "<|im_start|>user\nthree?<|im_end|>\n<|im_start|>assistant\n«drei<|im_end|>»"
    )
    ids: list[int] = []
    labels: list[int] = []
    for part in marked.split("«"):
        said, closed, read = part.partition("»")
        for piece, learned in ((said, bool(closed)), (read, False)):
            tokens = TOKENIZER(piece)["input_ids"]
            ids += tokens
            labels += tokens if learned else [-100] * len(tokens)
    (row,) = dataset(found.train)
    assert row == {"input_ids": ids, "labels": labels}


def test_it_learns_the_tokens_of_the_rows_that_each_end_with_a_turn(tmp_path: Path) -> None:
    """Expanded: a row for each turn, with all before it as its prompt."""
    (one,) = shown(tmp_path, {"messages": THREE}).train

    expanded = [
        shown(tmp_path, {"prompt": THREE[:n], "completion": THREE[n : n + 1]}).train[0].groups[-1]
        for n in (1, 3, 5)
    ]

    assert [(group.prompt, group.completions) for group in one.groups] == [
        (group.prompt, group.completions) for group in expanded
    ]


def test_where_the_past_is_rendered_differently_a_turn_stands_for_itself(tmp_path: Path) -> None:
    of: Any = tiny_tokenizer()
    of.chat_template = FORGETFUL
    turns = [*user("a?"), *answer("<think>x</think>A"), *user("b?"), *answer("<think>y</think>B")]

    first, second = shown(tmp_path, {"messages": turns}, tokenizer=of).train

    assert [text(group.completions[0]) for one in (first, second) for group in one.groups] == [
        "<think>x</think>A<|im_end|>",
        "<think>y</think>B<|im_end|>",
    ]
    # As a replica is asked: without the thought.
    assert text(second.groups[0].prompt) == chatml(
        ("user", "a?"), ("assistant", "A"), ("user", "b?")
    )


def test_a_greeting_is_read_and_not_learned(tmp_path: Path) -> None:
    (one,) = shown(tmp_path, {"messages": [*answer("Welcome!"), *user("Q"), *answer("A")]}).train
    assert [text(group.completions[0]) for group in one.groups] == ["A<|im_end|>"]
    assert "Welcome!" in text(one.tokens)


def test_a_turn_that_is_too_long_costs_itself(tmp_path: Path) -> None:
    turns = [*user("Q"), *answer("long " * 20), *user("R"), *answer("A")]
    found = shown(tmp_path, {"messages": turns}, max_completion_tokens=20)
    (one,) = found.train
    assert [text(group.completions[0]) for group in one.groups] == ["A<|im_end|>"]
    assert "long long" in text(one.tokens)
    assert found.report.count(TOO_LONG) == 1
    assert found.report.warning().startswith("Of the data (1 row): 1 of 2 completions (50.0%)")


def test_an_empty_turn_costs_the_row(tmp_path: Path) -> None:
    broken = [*user("Q"), *answer(" "), *user("R"), *answer("A")]
    found = shown(tmp_path, {"messages": THREE}, {"messages": broken})
    assert len(found.train) == 1
    assert found.report.count(EMPTY) == 1


@pytest.mark.parametrize("by", ["file", "split"])
def test_no_turn_that_is_measured_on_is_learned(by: str, tmp_path: Path) -> None:
    """The first question of a conversation may be a held-out prompt of another row."""
    opening = {"messages": THREE[:2]}
    if by == "file":
        held_out = write(tmp_path / "e.jsonl", [opening])
        found = shown(tmp_path, {"messages": THREE}, evaluation_demonstrations=(held_out,))
    else:
        found = shown(tmp_path, {"messages": THREE}, {**opening, "split": "held_out"})

    (one,), (measured,) = found.train, found.evaluation
    assert [text(group.completions[0]) for group in measured.groups] == ["eins<|im_end|>"]
    assert [text(group.completions[0]) for group in one.groups] == [
        "zwei<|im_end|>",
        "drei<|im_end|>",
    ]
    assert found.report.count(EVALUATED) == 1
