import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.conversation import Flaw, Unreadable
from formats.documents import documents, with_documents

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
DOCUMENTS = st.lists(st.fixed_dictionaries({"title": st.just("") | WORDS, "text": WORDS}))
TWO = [{"title": "", "text": "plain"}, {"title": "T", "text": "D"}]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_texts_titles_and_the_json_of_them() -> None:
    given = ["plain", {"title": "T", "text": "D"}]
    assert documents(given) == documents(json.dumps(given)) == TWO
    assert documents(None) == documents("") == documents("[]") == documents([]) == []


@pytest.mark.parametrize(
    ("value", "flaw", "number"),
    [
        ("text", Flaw.NOT_DOCUMENTS, 0),
        ({"title": "T"}, Flaw.NOT_DOCUMENTS, 0),
        ('{"title": "T"}', Flaw.NOT_DOCUMENTS, 0),
        ("[" * 100_000, Flaw.NOT_DOCUMENTS, 0),
        (["a", {"title": "T"}], Flaw.BAD_DOCUMENT, 2),
        ([{"title": 3, "text": "a"}], Flaw.BAD_DOCUMENT, 1),
        (["a", " "], Flaw.EMPTY_DOCUMENT, 2),
    ],
)
def test_what_are_no_documents_is_named(value: Any, flaw: Flaw, number: int) -> None:
    with pytest.raises(Unreadable) as caught:
        documents(value)
    assert (caught.value.flaw, caught.value.number) == (flaw, number)


def test_documents_stand_before_the_last_question() -> None:
    turns = [user("first"), {"role": "assistant", "content": "A"}, user("last")]
    assert with_documents(turns, TWO) == [*turns[:2], user("plain\n\nT\nD\n\nlast")]
    assert with_documents(turns, []) == turns


@given(WORDS, DOCUMENTS)
def test_a_prompt_that_has_its_documents_already_stays_as_it_is(
    question: str, told: list[dict[str, str]]
) -> None:
    told = [{**one, "text": f"#{one['text']}"} for one in told]
    once = with_documents([user(f"?{question}")], told)
    assert with_documents(once, told) == once
