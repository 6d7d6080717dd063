from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.conversation import prompt_hash
from tests.training.data.samples import (
    TOKENIZER,
    answer,
    dropped,
    load,
    load_pairs,
    pair,
    ranking,
    text,
    user,
    write,
)
from training.engine.data import load_demonstrations, load_prompts
from training.engine.data.demonstration_rows import EMPTY, NO_ANSWER, NO_DEMONSTRATION
from training.engine.data.drafts import TOO_LONG
from training.engine.data.split import EVALUATED, KEPT_OUT, Placed, divide
from training.engine.errors import DataError
from training.engine.spec import Data

HASHES = st.binary(min_size=32, max_size=32)


def demonstration(number: int, **columns: Any) -> dict[str, Any]:
    return {"messages": user(f"Q{number}") + answer(f"A{number}"), **columns}


def placed(*rows: tuple[bytes, bool | None]) -> list[Placed[int]]:
    return [Placed(f"f:{n}", n, key, out) for n, (key, out) in enumerate(rows)]


@given(st.lists(st.tuples(HASHES, st.sampled_from([None, True, False]))), st.floats(0, 0.5))
def test_a_prompt_is_on_one_side_and_nothing_is_lost(
    rows: list[tuple[bytes, bool | None]], fraction: float
) -> None:
    rows += rows[: len(rows) // 2]
    train, evaluation = divide(placed(*rows), fraction)

    assert sorted(one.item for one in [*train, *evaluation]) == list(range(len(rows)))
    assert not {one.prompt_hash for one in train} & {one.prompt_hash for one in evaluation}
    assert not any(one.held_out for one in train)


@given(st.lists(HASHES), st.floats(0, 0.25), st.floats(0, 0.25))
def test_a_larger_share_holds_out_the_same_prompts_and_more(
    keys: list[bytes], share: float, more: float
) -> None:
    rows = placed(*((key, None) for key in keys))
    fewer = {one.item for one in divide(rows, share)[1]}
    assert fewer <= {one.item for one in divide(rows, share + more)[1]}


def test_the_share_held_out_is_the_one_asked_for(tmp_path: Path) -> None:
    found = load_pairs(tmp_path, *(pair(number) for number in range(2000)), held_out_fraction=0.1)

    assert 160 < len(found.evaluation) < 240
    assert len(found.train) + len(found.evaluation) == 2000


def test_twins_of_a_prompt_are_on_its_side() -> None:
    first = prompt_hash(user("Café\nau lait "))
    assert first == prompt_hash(user("Cafe\N{COMBINING ACUTE ACCENT}\r\nau lait"))
    assert first != prompt_hash(user("Cafe au lait"))
    assert first != prompt_hash([{"role": "system", "content": "Café\nau lait"}])


def test_a_split_in_the_rows_is_believed(tmp_path: Path) -> None:
    rows = [pair(number, split="held_out" if number < 5 else "train") for number in range(50)]
    # The same prompt again, in a row that says otherwise, and rows that do not tell.
    rows += [pair(0, split="train"), *(pair(number, split="") for number in range(100, 400))]

    found = load_pairs(tmp_path, *rows, held_out_fraction=0.1)

    lines = [int(group.key.split(":")[1]) for group in found.evaluation]
    assert [line for line in lines if line <= 51] == [1, 2, 3, 4, 5, 51]
    assert 10 < len([line for line in lines if line > 51]) < 60


def test_rows_that_all_say_train_are_divided_by_hash(tmp_path: Path) -> None:
    rows = [pair(number, split="train") for number in range(300)]
    assert load_pairs(tmp_path, *rows, held_out_fraction=0.5).evaluation


def test_beside_evaluation_files_nothing_of_theirs_is_trained_on(tmp_path: Path) -> None:
    pairs = write(tmp_path / "p.jsonl", [pair(1), pair(2), pair(3, split="held_out"), pair(3)])
    rankings = write(tmp_path / "r.jsonl", [ranking(1), ranking(4)])
    evaluation = write(tmp_path / "e.jsonl", [pair(1), pair(5)])

    found = load(
        pairs=(pairs,), rankings=(rankings,), evaluation_pairs=(evaluation,), held_out_fraction=0.5
    )

    assert [group.key for group in found.train] == ["r.jsonl:2", "p.jsonl:2"]
    assert [group.key for group in found.evaluation] == ["e.jsonl:1", "e.jsonl:2"]
    assert dropped(found) == {EVALUATED: 2, KEPT_OUT: 2}


def test_a_run_needs_something_on_the_side_it_was_promised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="All 2 usable groups are held out"):
        load_pairs(tmp_path, *(pair(n, split="held_out") for n in range(2)))
    with pytest.raises(DataError, match="left in the evaluation files"):
        load(
            pairs=(write(tmp_path / "p.jsonl", [pair()]),),
            evaluation_pairs=(write(tmp_path / "e.jsonl", [{}]),),
        )


def test_demonstrations_of_both_formats(tmp_path: Path) -> None:
    rows = [
        {"messages": user("Q") + answer("A") + user("R") + answer("B")},
        {"prompt": "Q", "completion": "A", "messages": None},
        {"prompt": user("Q"), "completion": answer("A")},
        {"prompt": "Q"},
        {"messages": user("Q")},
        {"messages": []},
        demonstration(1, messages=user("Q") + answer(" ")),
        demonstration(1, messages=user("Q") + answer("long " * 20)),
    ]
    data = Data(
        demonstrations=(write(tmp_path / "d.jsonl", rows),),
        held_out_fraction=0.0,
        max_completion_tokens=50,
    )

    found = load_demonstrations(data, TOKENIZER)

    assert [[text(group.completions[0]) for group in one.groups] for one in found.train] == [
        ["A<|im_end|>", "B<|im_end|>"],
        ["A<|im_end|>"],
        ["A<|im_end|>"],
    ]
    assert "A<|im_end|>" in text(found.train[0].groups[1].prompt)
    assert {one.reason: one.count for one in found.report.dropped} == {
        NO_DEMONSTRATION: 1,
        NO_ANSWER: 2,
        EMPTY: 1,
        TOO_LONG: 1,
    }
    assert len(found.content_hash) == 64


def test_demonstrations_are_held_out_as_preferences_are(tmp_path: Path) -> None:
    numbers = range(200)
    demonstrations = write(tmp_path / "d.jsonl", [demonstration(n) for n in numbers])
    pairs = write(tmp_path / "p.jsonl", [pair(n) for n in numbers])

    shown = load_demonstrations(Data(demonstrations=(demonstrations,)), TOKENIZER)
    judged = load(pairs=(pairs,), held_out_fraction=0.1)

    assert shown.evaluation
    assert [one.groups[0].prompt for one in shown.evaluation] == [
        one.prompt for one in judged.evaluation
    ]


def test_evaluation_demonstrations_alone_will_do(tmp_path: Path) -> None:
    train = write(tmp_path / "d.jsonl", [demonstration(1), demonstration(2)])
    evaluation = write(tmp_path / "e.jsonl", [demonstration(1)])

    only = load_demonstrations(Data(evaluation_demonstrations=(evaluation,)), TOKENIZER)
    both = load_demonstrations(
        Data(demonstrations=(train,), evaluation_demonstrations=(evaluation,)), TOKENIZER
    )

    assert (len(only.train), len(only.evaluation)) == (0, 1)
    assert [one.key for one in both.train] == ["d.jsonl:2"]


def test_demonstrations_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.jsonl", [{"text": "x"}])
    out = write(tmp_path / "out.jsonl", [demonstration(1, split="held_out")])
    good = write(tmp_path / "good.jsonl", [demonstration(2)])
    for files, message in (
        ({"demonstrations": (bad,)}, "No demonstration is left to train on"),
        ({"demonstrations": (out,)}, "All 1 usable demonstrations are held out"),
        ({"demonstrations": (good,), "evaluation_demonstrations": (bad,)}, "evaluation files"),
        ({}, "No data files"),
    ):
        with pytest.raises(DataError, match=message):
            load_demonstrations(Data(held_out_fraction=0.0, **files), TOKENIZER)


def test_prompts_come_once_from_all_files(tmp_path: Path) -> None:
    data = Data(
        rankings=(write(tmp_path / "r.jsonl", [ranking(1), ranking(1), ranking(2)]),),
        pairs=(write(tmp_path / "p.jsonl", [pair(2), pair(3, split="held_out")]),),
        demonstrations=(write(tmp_path / "d.jsonl", [demonstration(3), demonstration(4)]),),
        held_out_fraction=0.0,
    )

    found = load_prompts(data, TOKENIZER)

    assert [(one.key, one.messages) for one in found.train] == [
        ("r.jsonl:1", user("Q1")),
        ("r.jsonl:3", user("Q2")),
        ("d.jsonl:2", user("Q4")),
    ]
    assert [one.messages for one in found.evaluation] == [user("Q3")]
    evaluated = Data(pairs=data.pairs, evaluation_rankings=data.rankings, held_out_fraction=0.0)
    with pytest.raises(DataError, match="No prompt is left"):
        load_prompts(evaluated, TOKENIZER)
