from pathlib import Path
from typing import Any

import orjson
import pytest

from annotate.exchange.rankings import jsonl_rankings, parquet_rankings
from formats.conversation import Flaw
from tests.exchange.sample import HOSTILE, many, two_labelers
from tests.training.data.samples import (
    Row,
    chatml,
    dropped,
    load,
    load_rankings,
    ranking,
    texts,
    user,
    write,
)
from training.engine.data import identical
from training.engine.data import rankings as rows
from training.engine.data.drafts import AGAIN, FEW_LEFT, NO_COMPARISON, TOO_LONG
from training.engine.data.examples import BAD_SPLIT, BAD_WEIGHT, MISSING, NO_WEIGHT
from training.engine.data.formats import REASONS
from training.engine.errors import DataError
from training.engine.groups import Pair, Ranking


def test_identical_answers_are_one_tie_and_no_pair_of_them_is_learned_from(tmp_path: Path) -> None:
    same = [{"text": "I'm sorry for any", "finish_reason": "length"}] * 3
    said = {"tiers": [[0], [3], [1], [2]], "strengths": [1, 2, 3], "unacceptable": []}

    found = load_rankings(
        tmp_path, ranking(1, completions=[*same, {"text": "Yes."}], **said), ranking(2)
    )

    first = found.train[0].rankings[0]
    assert first.tiers == ((0, 1, 2), (3,))
    assert {(pair.winner, pair.loser) for pair in first.pairs} == {(0, 3), (1, 3), (2, 3)}
    assert dropped(found) == {identical.IDENTICAL: 3}


def test_a_ranking_of_nothing_but_identical_answers_teaches_nothing(tmp_path: Path) -> None:
    same = [{"text": "Yes." + blanks, "finish_reason": "stop"} for blanks in ("", " ", "\n")]

    row = ranking(1, completions=same, tiers=[[0], [1], [2]], strengths=[])

    found = load_rankings(tmp_path, row, ranking(2))

    assert len(found.train) == 1
    assert dropped(found)[identical.IDENTICAL] == 3


def test_the_same_text_once_cut_off_is_another_answer(tmp_path: Path) -> None:
    two = [{"text": "Yes.", "finish_reason": "stop"}, {"text": "Yes.", "finish_reason": "length"}]

    row = ranking(1, completions=two, tiers=[[1], [0]], unacceptable=[])

    (group,) = load_rankings(tmp_path, row).train

    assert [(pair.winner, pair.loser) for pair in group.rankings[0].pairs] == [(1, 0)]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_export_of_two_labelers_becomes_one_group_with_two_rankings(
    suffix: str, tmp_path: Path
) -> None:
    export = jsonl_rankings if suffix == "jsonl" else parquet_rankings
    file = tmp_path / f"rankings.{suffix}"
    file.write_bytes(b"".join(export([two_labelers()])))

    found = load(rankings=(str(file),), max_completion_tokens=1024)

    (group,) = found.train
    assert group.key == f"rankings.{suffix}:1"
    assert texts(group) == (
        chatml(("system", "Be brief."), ("user", f"T\nD\n\n{HOSTILE}")),
        # Cut off by the number of tokens: no end of turn.
        ["Red, green and blue.<|im_end|>", HOSTILE, "<|im_end|>", "Blau<|im_end|>"],
    )
    lena = (
        Pair(1, 0, margin=2.0),
        Pair(1, 3, margin=2.0),
        Pair(1, 2),  # a step was left open
        Pair(0, 3, target=0.5),
        Pair(0, 2),
        Pair(3, 2),
    )
    luis = tuple(
        Pair(winner, loser, target=0.5) for winner in range(4) for loser in range(winner + 1, 4)
    )
    assert group.rankings == (
        Ranking(((1,), (0, 3), (2,)), lena, unacceptable=frozenset({2})),
        Ranking(((0, 1, 2, 3),), luis),
    )
    assert (found.report.rows, found.report.dropped) == (2, ())


def test_a_whole_export_keeps_its_split_and_its_order(tmp_path: Path) -> None:
    file = tmp_path / "rankings.jsonl"
    file.write_bytes(b"".join(jsonl_rankings(many(50))))

    found = load(rankings=(str(file),), max_prompt_tokens=1024, max_completion_tokens=1024)

    assert [group.key for group in found.evaluation] == [
        f"rankings.jsonl:{task + 1}" for task in range(0, 50, 10)
    ]
    assert len(found.train) == 45
    assert all(len(group.completions) == 4 for group in found.train)


def test_rows_are_merged_only_where_prompt_and_completions_are_the_same(tmp_path: Path) -> None:
    others = [{"text": text} for text in ("a", "b", "d")]
    cut_off = [{"text": text, "finish_reason": "length"} for text in ("a", "b", "c")]

    found = load_rankings(
        tmp_path,
        ranking(1, weight=0.5),
        ranking(2),
        ranking(1, completions=others),
        ranking(1, tiers=[[0], [1], [2]], strengths=[]),
        ranking(1, completions=cut_off),
    )

    assert [group.key[-1] for group in found.train] == ["1", "2", "3", "5"]
    first = found.train[0]
    assert [(one.tiers, one.weight) for one in first.rankings] == [
        (((2,), (0, 1)), 0.5),
        (((0,), (1,), (2,)), 1.0),
    ]


def test_of_a_labeler_the_last_revision_counts(tmp_path: Path) -> None:
    mine: Row = {"task_id": 7, "labeler": "lena"}

    found = load_rankings(
        tmp_path,
        ranking(**mine, revision=2, ranking_id=9),
        ranking(**mine, revision=1, ranking_id=8, tiers=[[0], [1], [2]], strengths=[]),
        ranking(task_id=7, labeler="luis", revision=1),
        ranking(ranking_id=5),
        ranking(ranking_id=5),
        ranking(),
    )

    (group,) = found.train
    assert [one.tiers for one in group.rankings] == [((2,), (0, 1))] * 4
    assert dropped(found) == {AGAIN: 2}
    assert found.report.dropped[0].examples == ("rankings.jsonl:2", "rankings.jsonl:4")


def test_a_long_completion_leaves_its_ranking_with_the_strengths_of_the_whole(
    tmp_path: Path,
) -> None:
    completions = [{"text": text} for text in ("a", "long " * 10, "c", "d")]
    row = ranking(
        completions=completions,
        tiers=[[0], [1], [2], [3]],
        strengths=[1, 1, 0],
        unacceptable=[],
    )

    found = load_rankings(tmp_path, row, max_completion_tokens=20)

    (group,) = found.train
    assert texts(group)[1] == ["a<|im_end|>", "c<|im_end|>", "d<|im_end|>"]
    assert group.rankings == (
        Ranking(((0,), (1,), (2,)), (Pair(0, 1, margin=2.0), Pair(0, 2), Pair(1, 2))),
    )
    assert dropped(found) == {TOO_LONG: 1}
    assert found.report.dropped[0].examples == ("rankings.jsonl:1 (number 1)",)


def test_a_group_needs_two_completions_that_are_left(tmp_path: Path) -> None:
    long = [{"text": "x" * 30}, {"text": "y" * 30}, {"text": "z"}]

    found = load_rankings(
        tmp_path, ranking(1), ranking(2, completions=long), max_completion_tokens=20
    )

    assert [group.key for group in found.train] == ["rankings.jsonl:1"]
    assert dropped(found) == {TOO_LONG: 2, FEW_LEFT: 1}


def test_a_completion_as_long_as_allowed_with_its_end_is_kept(tmp_path: Path) -> None:
    completions = [{"text": "x" * 19}, {"text": "y" * 20, "finish_reason": "length"}]
    row = ranking(completions=completions, tiers=[[0], [1]], strengths=[], unacceptable=[])

    (group,) = load_rankings(tmp_path, row, max_completion_tokens=20).train

    assert [len(one) for one in group.completions] == [20, 20]


def test_ties_and_unacceptable_winners_can_be_dropped(tmp_path: Path) -> None:
    row = ranking(tiers=[[0], [1], [2]], strengths=[1, 3], unacceptable=[False, True, True])
    tied = ranking(1, tiers=[[0, 1, 2]], strengths=[])

    without_ties = load_rankings(tmp_path, row, tied, ties="drop")
    without_bad = load_rankings(tmp_path, row, tied, unacceptable="drop_winners")

    assert [len(group.rankings[0].pairs) for group in without_ties.train] == [3]
    assert dropped(without_ties)[NO_COMPARISON] == 1
    # The two unacceptable ones are one tier: nothing is learned from their order.
    assert without_bad.train[0].rankings == (
        Ranking(
            ((0,), (1, 2)),
            (Pair(0, 1, margin=1.0), Pair(0, 2, margin=3.0)),
            unacceptable=frozenset({1, 2}),
            barred=frozenset({1, 2}),
        ),
    )
    assert without_ties.train[0].rankings[0].barred == frozenset()
    assert len(without_bad.train[1].rankings[0].pairs) == 3


def test_exported_documents_are_in_the_prompt_once(tmp_path: Path) -> None:
    context = orjson.dumps([{"title": "T", "text": "D"}]).decode()

    found = load_rankings(
        tmp_path,
        ranking(prompt=user("Q"), documents_json=context),
        ranking(prompt=user("T\nD\n\nQ"), documents_json=context),
        ranking(documents_json='{"title": "T"}'),
        ranking(documents_json="not json"),
    )

    (group,) = found.train
    assert texts(group)[0] == chatml(("user", "T\nD\n\nQ"))
    assert len(group.rankings) == 2
    assert dropped(found) == {REASONS[Flaw.NOT_DOCUMENTS]: 2}


BAD_ROWS: list[tuple[str, dict[str, Any]]] = [
    (rows.NO_RANKING, {"tiers": None}),
    (MISSING, {"prompt": None}),
    (MISSING, {"completions": None}),
    (rows.FEW, {"completions": [{"text": "a"}], "tiers": [[0]]}),
    (rows.FEW, {"completions": []}),
    (rows.BAD_COMPLETIONS, {"completions": "a"}),
    (rows.BAD_COMPLETIONS, {"completions": [{"text": "a"}, {"text": None}, 3]}),
    (rows.BAD_TIERS, {"tiers": [[2], [0]]}),
    (rows.BAD_TIERS, {"tiers": [[2], [0, 1, 3]]}),
    (rows.BAD_TIERS, {"tiers": [[2], [0, 1], [2]]}),
    (rows.BAD_TIERS, {"tiers": [[2], [0, -1]]}),
    (rows.BAD_TIERS, {"tiers": [[2], [0, 1], []]}),
    (rows.BAD_TIERS, {"tiers": [[2], [0, True]]}),
    (rows.BAD_TIERS, {"tiers": [2, 0, 1]}),
    (rows.BAD_TIERS, {"tiers": "210"}),
    (rows.BAD_STRENGTHS, {"strengths": [1, 2]}),
    (rows.BAD_STRENGTHS, {"strengths": [4]}),
    (rows.BAD_STRENGTHS, {"strengths": ["2"]}),
    (rows.BAD_MARKS, {"unacceptable": [True]}),
    (rows.BAD_MARKS, {"unacceptable": [0, 0, 1]}),
    (BAD_WEIGHT, {"weight": -1}),
    (BAD_WEIGHT, {"weight": "1"}),
    (BAD_WEIGHT, {"weight": True}),
    (BAD_WEIGHT, {"weight": 1e308}),
    (BAD_WEIGHT, {"weight": 1e-300}),
    (NO_WEIGHT, {"weight": 0}),
    (BAD_SPLIT, {"split": "heldout"}),
]


@pytest.mark.parametrize(("reason", "columns"), BAD_ROWS)
def test_a_bad_row_is_counted_and_explained(
    reason: str, columns: dict[str, Any], tmp_path: Path
) -> None:
    found = load_rankings(tmp_path, ranking(1), ranking(2, **columns))

    assert [group.key for group in found.train] == ["rankings.jsonl:1"]
    (one,) = found.report.dropped
    assert (one.reason, one.count) == (reason, 1)
    assert one.examples[0].startswith("rankings.jsonl:2")


def test_nothing_left_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"column tiers \(3 times, first at r\.jsonl:1\)"):
        load(rankings=(write(tmp_path / "r.jsonl", [{}, {"chosen": []}, {}]),))


def test_plain_texts_do_as_prompt_and_completions(tmp_path: Path) -> None:
    row = {"prompt": "Q", "completions": ["a", "b"], "tiers": [[1], [0]]}

    (group,) = load_rankings(tmp_path, row).train

    assert texts(group) == (chatml(("user", "Q")), ["a<|im_end|>", "b<|im_end|>"])
    assert group.rankings == (Ranking(((1,), (0,)), (Pair(1, 0),)),)
