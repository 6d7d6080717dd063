"""What was sent comes back storable, encodable and in bounds, with nothing in it unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.conversation import Unreadable, messages
from formats.echo import echo, visible

ANY_TEXT = st.text(st.characters(codec=None, categories=None))
DIRECTION_CHANGERS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_what_cannot_be_seen_is_shown() -> None:
    assert visible("a\x00b\tc\nd\x7f") == "a␀b␉c␊d␡"
    assert visible("\ud800 and \u202egpj.exe") == "⟨U+D800⟩ and ⟨U+202E⟩gpj.exe"


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("مرحبا (test)", "Größe 🙂 e\u0301", "👩\u200d🔬", "می\u200cخواهم", "{broken"):
        assert echo(text) == text


def test_the_rest_of_a_long_text_is_a_mark() -> None:
    assert echo("x" * 40) == "x" * 40
    assert echo("x" * 41) == "x" * 39 + "…"
    assert echo("\ud800" * 41, 20) == "⟨U+D800⟩⟨U+D800⟩…"


def test_what_is_no_text_is_shown_as_json() -> None:
    assert echo({"role": [1, None]}) == '{"role": [1, null]}'
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    assert echo(deep) == "a list"
    assert echo(10**5000) == "a int"


@given(ANY_TEXT, st.integers(1, 60))
def test_every_text_is_storable_and_within_its_bound(text: str, longest: int) -> None:
    shown = echo(text, longest)
    shown.encode()
    assert len(shown) <= longest
    assert not any(ord(each) < 0x20 or each in DIRECTION_CHANGERS for each in shown)


def test_a_role_of_half_a_character_is_refused_in_words_that_can_be_written() -> None:
    with pytest.raises(Unreadable) as refusal:
        messages([{"role": "\ud800\u202euser", "content": "Q"}], role="user")
    assert "\u202e" not in str(refusal.value)
    str(refusal.value).encode()
