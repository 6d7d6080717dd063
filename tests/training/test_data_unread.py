"""Columns that nobody reads are counted; those that would change what a row means cost the row."""

from pathlib import Path
from typing import Any

import pytest

from annotate.exchange.preferences import jsonl_preferences, parquet_preferences
from annotate.exchange.rankings import jsonl_rankings, parquet_rankings
from tests.exchange.sample import two_labelers
from tests.training.data.samples import (
    TOKENIZER,
    answer,
    chatml,
    dropped,
    load,
    load_pairs,
    load_rankings,
    pair,
    ranking,
    texts,
    user,
    write,
)
from training.engine.data import load_demonstrations
from training.engine.data.demonstration_rows import UNDESIRABLE, WEIGHTED
from training.engine.data.formats import REPEATED, lost
from training.engine.data.pairs import DIFFERENT
from training.engine.data.report import Unread
from training.engine.errors import DataError
from training.engine.spec import Data

TRANSCRIPT = "\n\nHuman: Q\n\nAssistant: "


def demonstrations(folder: Path, *rows: Any) -> Any:
    file = write(folder / "d.jsonl", [{"prompt": "Fine?", "completion": "Fine."}, *rows])
    return load_demonstrations(Data(demonstrations=(file,), held_out_fraction=0.0), TOKENIZER)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_unread_columns_are_counted_by_name_and_said(suffix: str, tmp_path: Path) -> None:
    rows = [pair(n, score=n, source="web", note="" if n else "once") for n in range(4)]
    file = write(tmp_path / f"p.{suffix}", rows)

    found = load(pairs=(file,))

    assert len(found.train) == 4
    assert found.report.unread == (Unread("score", 4), Unread("source", 4), Unread("note", 1))
    assert found.report.to_json()["unread_columns"][2] == {
        "column": "note",
        "count": 1,
        "of": 4,
        "share": 0.25,
        "expected": False,
    }
    assert found.report.warning() == (
        "Of the data (4 rows): not read: score (4 rows), source (4 rows), note (1 row). "
        "See data_report.json."
    )


def test_keys_of_messages_and_completions_are_counted_too(tmp_path: Path) -> None:
    named = [{"role": "user", "content": "Q", "name": "Ada"}]
    completions = [{"text": "a", "seed": 1}, {"text": "b"}]
    row = ranking(prompt=named, completions=completions, tiers=[[0], [1]], unacceptable=[])
    found = load_rankings(tmp_path, {**row, "strengths": []})
    assert found.report.unread == (Unread("completions.seed", 1), Unread("prompt.name", 1))


@pytest.mark.parametrize(
    ("kind", "export"),
    [
        ("pairs", jsonl_preferences),
        ("pairs", parquet_preferences),
        ("rankings", jsonl_rankings),
        ("rankings", parquet_rankings),
    ],
)
def test_what_prefloop_itself_writes_about_a_row_is_no_news(
    kind: str, export: Any, tmp_path: Path
) -> None:
    file = tmp_path / "export"
    file.write_bytes(b"".join(export([two_labelers()])))
    files: dict[str, Any] = {kind: (str(file),)}
    found = load(**files)
    assert found.report.warning() == ""
    assert "round" in {one.column for one in found.report.unread}
    assert all(one.expected for one in found.report.unread)


@pytest.mark.parametrize("column", ["system", "system_prompt"])
def test_a_system_column_is_read_in_every_format(column: str, tmp_path: Path) -> None:
    told: dict[str, Any] = {column: "Answer in French."}
    prompt = chatml(("system", "Answer in French."), ("user", "Q0"))

    (group,) = load_pairs(tmp_path, pair(**told)).train
    assert texts(group)[0] == prompt
    (group,) = load_rankings(tmp_path, ranking(**told)).train
    assert texts(group)[0] == prompt
    shown = demonstrations(tmp_path, {"prompt": "Q0", "completion": "A", **told}).train[1]
    assert texts(shown.groups[0])[0] == prompt


@pytest.mark.parametrize(
    "column",
    ["context", "tools", "images", "chat_template_kwargs", "reasoning_content", "thinking"],
)
def test_columns_that_change_the_meaning_cost_the_row(column: str, tmp_path: Path) -> None:
    says = {column: [{"a": 1}]}
    for found in (
        load_pairs(tmp_path, pair(1), pair(2, **says), pair(3, **{column: []})),
        load_rankings(tmp_path, ranking(1), ranking(2, **says), ranking(3, **{column: None})),
    ):
        assert dropped(found) == {lost(f"the column {column}"): 1}
        assert len(found.train) == 2
        assert f"the column {column}" in found.report.warning()
    shown = demonstrations(tmp_path, {"prompt": "Q", "completion": "A", **says})
    assert shown.report.count(lost(f"the column {column}")) == 1


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "images", "weight"])
def test_keys_of_messages_that_change_the_meaning_cost_the_row(key: str, tmp_path: Path) -> None:
    """Two answers that differ only in their thoughts are refused for the thoughts."""
    first, second = ([{**answer("same")[0], key: value}] for value in (["x"], ["y"]))
    found = load_pairs(tmp_path, pair(1), pair(2, chosen=first, rejected=second))
    assert dropped(found) == {lost(f"a message's {key}"): 1}
    shown = demonstrations(tmp_path, {"messages": [*user("Q"), {**answer("A")[0], key: ["x"]}]})
    assert shown.report.count(lost(f"a message's {key}")) == 1


def test_thoughts_of_a_ranked_completion_cost_the_row(tmp_path: Path) -> None:
    thought = [{"text": "a", "reasoning_content": "hm"}, {"text": "b"}, {"text": "c"}]
    found = load_rankings(tmp_path, ranking(1), ranking(2, completions=thought))
    assert dropped(found) == {lost("a message's reasoning_content"): 1}


def test_an_undesirable_completion_is_not_imitated(tmp_path: Path) -> None:
    found = demonstrations(
        tmp_path,
        {"prompt": "Q", "completion": "bad", "label": False},
        {"prompt": "R", "completion": "good", "label": True},
        {"prompt": "T", "completion": "half", "weight": 0.5},
    )
    assert [text_of(one) for one in found.train] == ["Fine.", "good"]
    assert found.report.count(UNDESIRABLE) == 1
    assert found.report.count(WEIGHTED) == 1


def text_of(one: Any) -> str:
    return texts(one.groups[0])[1][0].removesuffix("<|im_end|>")


def test_a_demonstration_that_was_cut_off_does_not_end_its_turn(tmp_path: Path) -> None:
    row = {"prompt": "Q", "completion": "so far", "finish_reason": "length"}
    assert texts(demonstrations(tmp_path, row).train[1].groups[0])[1] == ["so far"]


def test_documents_are_read_in_every_format(tmp_path: Path) -> None:
    told: dict[str, Any] = {"documents": ["D"]}
    (group,) = load_pairs(tmp_path, pair(**told)).train
    assert texts(group)[0] == chatml(("user", "D\n\nQ0"))
    shown = demonstrations(tmp_path, {"prompt": "Q0", "completion": "A", **told}).train[1]
    assert texts(shown.groups[0])[0] == chatml(("user", "D\n\nQ0"))


def test_a_transcript_as_prompt_is_the_same_in_rankings_pairs_and_demonstrations(
    tmp_path: Path,
) -> None:
    prompt = "\n\nHuman: One?\n\nAssistant: 1\n\nHuman: Two?\n\nAssistant: "
    turns = chatml(("user", "One?"), ("assistant", "1"), ("user", "Two?"))
    row = {"prompt": prompt, "completions": ["2", "3"], "tiers": [[0], [1]]}

    (ranked,) = load_rankings(tmp_path, row).train
    (paired,) = load_pairs(tmp_path, {"prompt": prompt, "chosen": "2", "rejected": "3"}).train
    shown = demonstrations(tmp_path, {"prompt": prompt, "completion": "2"}).train[1]

    assert texts(ranked) == texts(paired) == (turns, ["2<|im_end|>", "3<|im_end|>"])
    assert texts(shown.groups[1]) == (turns, ["2<|im_end|>"])


def test_a_prompt_in_front_of_every_answer_is_not_learned_twice(tmp_path: Path) -> None:
    found = load_pairs(
        tmp_path,
        {"prompt": "P", "chosen": "P x", "rejected": "P y"},
        {"prompt": "P", "chosen": "P x", "rejected": "y"},
        {"prompt": "Hi", "chosen": "Hi! How are you?", "rejected": "Hidden."},
    )
    assert dropped(found) == {REPEATED: 1}
    assert [group.key for group in found.train] == ["pairs.jsonl:2", "pairs.jsonl:3"]

    row = {"prompt": "P", "completions": ["P x", "P y", "P\nz"], "tiers": [[0], [1], [2]]}
    with pytest.raises(DataError, match="begins with the text of the prompt"):
        load_rankings(tmp_path, row)
    shown = demonstrations(
        tmp_path,
        {"prompt": "Name three rivers.", "completion": "Name three rivers. Rhine, Elbe, Oder."},
        {"prompt": "Hello", "completion": "Hello there!"},
    )
    assert shown.report.count(REPEATED) == 1
    assert [text_of(one) for one in shown.train] == ["Fine.", "Hello there!"]


def test_transcripts_and_messages_that_repeat_their_prompt_are_recognized(tmp_path: Path) -> None:
    whole = {"chosen": f"{TRANSCRIPT}a", "rejected": f"{TRANSCRIPT}b"}
    other = {"chosen": f"{TRANSCRIPT}a", "rejected": "\n\nHuman: R\n\nAssistant: b"}
    rows = ({"prompt": TRANSCRIPT, **whole}, {"prompt": TRANSCRIPT, **other})

    found = load_pairs(tmp_path, *rows)

    assert [texts(group) for group in found.train] == [
        (chatml(("user", "Q")), ["a<|im_end|>", "b<|im_end|>"])
    ]
    assert dropped(found) == {DIFFERENT: 1}
    shown = demonstrations(
        tmp_path, {"prompt": user("Q"), "completion": user("Q") + answer("A")}
    ).train[1]
    assert texts(shown.groups[0]) == (chatml(("user", "Q")), ["A<|im_end|>"])
