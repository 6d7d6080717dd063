"""What was ranked in the browser is what comes out of the export."""

import io
import json
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from rest_framework.test import APIClient

from annotate.exchange.exporters import CONTENT_TYPES, EXPORTERS
from annotate.models import Claim, Project, Prompt, Ranking, Round, Slot, Split, User
from annotate.queries import export
from annotate.queries.export import READERS
from annotate.services.projects import create_project
from tests import cast

TIERS = [["B"], ["A", "D"], ["C"]]
Row = dict[str, Any]


def rank(client: APIClient, **changes: Any) -> dict[int, str]:
    """Rank the next task; the letter that each completion had."""
    claim = client.post("/api/projects/tone/claims", {"have": []}, format="json").json()["claim"]
    said = {"key": str(uuid4()), "tiers": TIERS, "active_ms": 4200, **changes}
    response = client.post(f"/api/claims/{claim['id']}/ranking", said, format="json")
    assert response.status_code == 201, response.content
    return dict(zip(Claim.objects.get(pk=claim["id"]).order, "ABCD", strict=True))


def exported(client: APIClient, what: str, query: str = "") -> list[Row]:
    """The rows of an export, which are the same in both formats."""
    address = f"/api/projects/tone/export/{what}"
    jsonl = client.get(f"{address}.jsonl{query}")
    assert jsonl.status_code == 200, jsonl.content
    rows = [json.loads(line) for line in jsonl.getvalue().split(b"\n")[:-1]]
    parquet = client.get(f"{address}.parquet{query}")
    assert pq.read_table(io.BytesIO(parquet.getvalue())).to_pylist() == rows
    return rows


def test_the_comparisons_are_those_that_were_said(
    ada: APIClient, lena: APIClient, round_one: Round
) -> None:
    letter = rank(lena, strengths=[2, 1], unacceptable=[{"label": "C", "reason": "made up"}])

    rows = exported(ada, "comparisons")

    said = {(letter[row["chosen_id"]], letter[row["rejected_id"]]): row for row in rows}
    assert {pair: row["strength"] for pair, row in said.items()} == {
        ("B", "A"): 2,
        ("B", "D"): 2,
        ("B", "C"): 3,
        ("A", "C"): 1,
        ("D", "C"): 1,
    }
    for (_, worse), row in said.items():
        assert row["rejected_unacceptable"] == (worse == "C")
        assert not row["chosen_unacceptable"]
        assert (row["labeler"], row["round"], row["split"]) == ("lena", 1, "train")
        assert row["chosen_model"] == row["rejected_model"] == "base-model"
        answers = Ranking.objects.get().task.completions
        for side in ("chosen", "rejected"):
            text = answers.get(pk=row[f"{side}_id"]).text
            assert row[side] == [{"role": "assistant", "content": text}]
        assert row["prompt"] == Ranking.objects.get().task.prompt.messages


def test_comparisons_tell_which_answers_were_cut_off(
    ada: APIClient, lena: APIClient, project: Project, ada_user: User
) -> None:
    cast.add_prompts(project, 1)
    cast.write_completions(cast.make_round(project, ada_user), cut_off={2})
    rank(lena)

    rows = exported(ada, "comparisons")

    broken_off = Ranking.objects.get().task.completions.get(number=2).pk
    assert len(rows) == 5
    for row in rows:
        for side in ("chosen", "rejected"):
            assert row[f"{side}_cut_off"] is (row[f"{side}_id"] == broken_off)


def test_no_export_prefers_an_answer_to_itself(
    ada: APIClient, lena: APIClient, project: Project, ada_user: User
) -> None:
    """Temperature 0: three times the same answer, ranked A > B > C > D by hand."""
    cast.add_prompts(project, 1)
    same = "I'm sorry for any"
    round_ = cast.make_round(project, ada_user)
    cast.write_completions(round_, [same, same, same, "Yes."], cut_off={0, 1, 2})
    rank(lena, tiers=[["A"], ["B"], ["C"], ["D"]])

    comparisons = exported(ada, "comparisons")

    texts = {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in comparisons}
    assert len(comparisons) == 3
    assert texts < {(same, "Yes."), ("Yes.", same)}
    (row,) = exported(ada, "rankings")
    assert sorted(map(len, row["tiers"])) == [1, 3]
    assert len(row["strengths"]) == 1


def test_the_rankings_are_those_that_were_said(
    ada: APIClient, lena: APIClient, round_one: Round
) -> None:
    letter = rank(
        lena,
        unacceptable=[{"label": "C", "reason": "made up"}],
        strengths=[None, 1],
        ratings={"helpful": {"B": 5, "C": 1}},
        tags=["wrong"],
        rationale="<b>B</b> is right.",
    )

    (row,) = exported(ada, "rankings")

    names = [letter[completion["id"]] for completion in row["completions"]]
    assert [{names[place] for place in tier} for tier in row["tiers"]] == [{"B"}, {"A", "D"}, {"C"}]
    assert "".join(names[place] for place in row["shown"]) == "ABCD"
    assert row["strengths"] == [0, 1]
    assert [names[i] for i, bad in enumerate(row["unacceptable"]) if bad] == ["C"]
    assert [reason for reason in row["unacceptable_reasons"] if reason] == ["made up"]
    ratings = dict(zip(names, json.loads(row["ratings_json"])["helpful"], strict=True))
    assert ratings == {"A": None, "B": 5, "C": 1, "D": None}
    assert json.loads(row["tags_json"]) == ["wrong"]
    assert (row["rationale"], row["labeler"]) == ("<b>B</b> is right.", "lena")
    assert (row["active_ms"], row["revision"], row["counted"]) == (4200, 1, True)
    assert row["completions"][0] == {
        "id": row["completions"][0]["id"],
        "text": "Answer 0 to Question " + row["prompt"][0]["content"].split()[-1],
        "model": "base-model",
        "adapter_hash": "",
        "temperature": 0.8,
        "top_p": 0.95,
        "max_tokens": 256,
        "finish_reason": "stop",
        "tokens": 8,
        "logprob_sum": -4.0,
    }


def test_only_the_latest_word_counts(ada: APIClient, lena: APIClient, round_one: Round) -> None:
    rank(lena)
    first = Ranking.objects.get()
    revised = {"key": str(uuid4()), "tiers": [["A", "B", "C", "D"]], "active_ms": 1}
    response = lena.post(f"/api/rankings/{first.pk}/revisions", revised, format="json")
    assert response.status_code == 201, response.content

    assert exported(ada, "comparisons") == []
    (row,) = exported(ada, "rankings")
    assert (row["revision"], row["counted"]) == (2, True)


def test_what_was_taken_back_is_not_exported(
    ada: APIClient, lena: APIClient, round_one: Round
) -> None:
    rank(lena)
    assert lena.post(f"/api/rankings/{Ranking.objects.get().pk}/undo").status_code == 200

    assert exported(ada, "comparisons") == exported(ada, "rankings") == []


def test_an_extra_is_exported_and_says_so(
    ada: APIClient, lena: APIClient, round_one: Round
) -> None:
    rank(lena)
    Slot.objects.filter(ranking__isnull=False).update(ranking=None)

    assert [row["counted"] for row in exported(ada, "rankings")] == [False]
    assert len(exported(ada, "comparisons")) == 5


def test_documents_are_exported_as_the_model_saw_them(
    ada: APIClient, lena: APIClient, round_one: Round
) -> None:
    rank(lena)
    Prompt.objects.update(documents=[{"title": "Rivers", "text": "The Rhine."}])

    (row,) = exported(ada, "rankings")

    assert row["prompt"][0]["content"].startswith("Rivers\nThe Rhine.\n\nQuestion ")
    assert json.loads(row["documents_json"]) == [{"title": "Rivers", "text": "The Rhine."}]
    assert exported(ada, "comparisons")[0]["prompt"] == row["prompt"]


@pytest.mark.parametrize("largest", [1, 2, 1000])
def test_batches_neither_lose_nor_double(
    largest: int,
    ada: APIClient,
    lena: APIClient,
    luis: APIClient,
    project: Project,
    ada_user: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "FIRST_BATCH", min(largest, 64))
    monkeypatch.setattr(export, "LARGEST_BATCH", largest)
    cast.add_prompts(project, 5)
    for _ in range(2):
        cast.write_completions(cast.make_round(project, ada_user, overlap=2))
    for client in (lena, luis):
        for _ in range(9):
            rank(client)

    rows = exported(ada, "rankings")
    assert sorted(row["ranking_id"] for row in rows) == sorted(
        Ranking.objects.values_list("pk", flat=True)
    )
    comparisons = exported(ada, "comparisons")
    assert len({row["comparison_id"] for row in comparisons}) == len(comparisons) == 18 * 5
    assert {row["round"] for row in exported(ada, "rankings", "?round=2")} == {2}
    assert len(exported(ada, "rankings", "?round=1")) + len(
        exported(ada, "rankings", "?round=2")
    ) == len(rows)


def test_a_split_for_itself(
    ada: APIClient, lena: APIClient, project: Project, ada_user: User
) -> None:
    cast.add_prompts(project, 2, split=None)
    Prompt.objects.filter(pk=Prompt.objects.earliest("pk").pk).update(split=Split.HELD_OUT)
    cast.write_completions(cast.make_round(project, ada_user))
    for _ in range(2):
        rank(lena)

    for split in Split.values:
        assert [row["split"] for row in exported(ada, "rankings", f"?split={split}")] == [split]
        assert len(exported(ada, "comparisons", f"?split={split}")) == 5


def test_other_projects_stay_out(ada: APIClient, lena: APIClient, round_one: Round) -> None:
    rank(lena)
    owner = User.objects.get(username="ada")
    create_project(actor_id=owner.pk, slug="other", name="Other")
    assert ada.get("/api/projects/other/export/rankings.jsonl").getvalue() == b""


def test_it_refuses_strangers_and_labelers(
    mallory: APIClient, lena: APIClient, round_one: Round
) -> None:
    address = "/api/projects/tone/export/comparisons.jsonl"
    assert mallory.get(address).status_code == 404
    assert lena.get(address).status_code in (403, 404)
    assert APIClient().get(address).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("comparisons.xml", 404),
        ("people.jsonl", 404),
        ("comparisons.jsonl?split=test", 400),
        ("comparisons.jsonl?round=x", 400),
    ],
)
def test_it_refuses_what_it_does_not_know(
    path: str, status: int, ada: APIClient, round_one: Round
) -> None:
    assert ada.get(f"/api/projects/tone/export/{path}").status_code == status


def test_an_unknown_round_is_an_empty_file(ada: APIClient, round_one: Round) -> None:
    assert exported(ada, "comparisons", "?round=99") == []


def test_whatever_can_be_written_can_be_read() -> None:
    assert READERS.keys() == EXPORTERS.keys()
    assert {kind for each in EXPORTERS.values() for kind in each.writers} == CONTENT_TYPES.keys()
