"""What is nested deeper than JSON can be written again is known before it is read."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.nesting import DEEPEST, too_deep

VALUES = st.recursive(
    st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a": ', "}"), ('[{"[": ', "}]")])
def test_the_level_that_is_one_too_many(start: str, end: str) -> None:
    each = start.replace('"["', "").count("[") + start.count("{")
    most = DEEPEST // each
    assert not too_deep(f"{start * most}1{end * most}".encode())
    assert too_deep(f"{start * (most + 1)}1{end * (most + 1)}".encode())


def test_brackets_in_texts_are_none() -> None:
    assert not too_deep(json.dumps(["[" * 1000, '"' + "{" * 1000, "\\" + "[" * 1000]).encode())


def test_many_beside_each_other_are_not_deep() -> None:
    assert not too_deep(json.dumps([[[]]] * 10_000).encode())


@settings(max_examples=40)
@given(value=VALUES, levels=st.integers(0, 2 * DEEPEST))
def test_it_counts_as_who_walks_through(value: Any, levels: int) -> None:
    for _ in range(levels):
        value = [value]
    assert too_deep(json.dumps(value).encode()) == (depth(value) > DEEPEST)


def depth(value: Any) -> int:
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@pytest.mark.parametrize("broken", [b"[" * 100_000, b'"' * 99_999, b"]" * 1000])
def test_what_is_no_json_has_an_answer_too(broken: bytes) -> None:
    assert too_deep(broken) == broken.startswith(b"[")
