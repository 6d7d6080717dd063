from typing import Any

import pytest

from formats.columns import meaningful, says_something, unread


@pytest.mark.parametrize("nothing", [None, "", " \n", [], {}])
def test_null_blank_and_empty_say_nothing(nothing: Any) -> None:
    assert not says_something(nothing)
    assert meaningful({"tools": nothing}, ()) is None
    assert list(unread({"tools": nothing, "note": nothing}, ())) == []


@pytest.mark.parametrize("something", ["x", 0, False, [0], {"a": None}])
def test_all_else_says_something(something: Any) -> None:
    assert says_something(something)
    assert meaningful({"note": 1, "tools": something}, ()) == "tools"
    assert meaningful({"note": 1, "tools": something}, {"tools"}) is None


def test_unread_columns_and_keys_are_named() -> None:
    row = {
        "prompt": [{"role": "user", "content": "Q", "name": "Ada"}, {"role": "user", "name": ""}],
        "completions": [{"text": "a", "seed": 1}, {"text": "b", "seed": 2}],
        "score": 0.5,
        "id": None,
    }
    assert list(unread(row, {"prompt", "completions", "completions.text"})) == [
        "prompt.name",
        "completions.seed",
        "score",
    ]
