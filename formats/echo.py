"""What somebody sent, as it may be stored and shown in a message of ours."""

import json
import re

# Control characters, halves of surrogate pairs, line and paragraph separators, and the marks that
# change the direction of what follows them (UAX 9): invisible, or not to be encoded as UTF-8.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PICTURES = 0x2400  # the block of Unicode that pictures the characters below 0x20
_DELETE = 0x7F


def unseen(text: str) -> bool:
    """Whether something in it could not be seen, or turns around how the rest is read."""
    return _UNSEEN.search(text) is not None


def visible(text: str) -> str:
    """The text with every character seen that could not be: a NUL as ␀, U+202E as ⟨U+202E⟩.

    Storable in PostgreSQL and encodable as UTF-8, whatever was in it.
    """
    return _UNSEEN.sub(lambda found: _picture(ord(found[0])), text)


def echo(said: object, longest: int = 40) -> str:
    """What was said, visible, in at most `longest` characters; "…" stands for the rest.

    What is no text is shown as JSON would write it, as far as it can be.
    """
    text = said if isinstance(said, str) else _as_json(said)
    shown = visible(text[: longest + 1])
    if len(shown) <= longest:
        return shown
    kept = ""
    for seen in map(visible, text[:longest]):
        if len(kept) + len(seen) >= longest:  # one place is the mark's
            break
        kept += seen
    return kept + "…"


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(_PICTURES + code)
    return "␡" if code == _DELETE else f"⟨U+{code:04X}⟩"


def _as_json(said: object) -> str:
    try:
        return json.dumps(said, ensure_ascii=False, default=repr)
    except (RecursionError, ValueError, TypeError):  # too deep, too many digits, odd keys
        return f"a {type(said).__name__}"
