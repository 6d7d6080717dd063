"""How deep a JSON text goes: what writes JSON again refuses less than what reads it."""

import re
from array import array
from itertools import accumulate

DEEPEST = 200  # levels; orjson writes 254 of them, and Python's own recursion is bounded too

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_OPENS, _CLOSES = b"[{", b"]}"
_STEPS = bytes(1 if byte in _OPENS else 255 if byte in _CLOSES else 0 for byte in range(256))
_OTHERS = bytes(byte for byte in range(256) if byte not in _OPENS + _CLOSES)


def too_deep(text: bytes) -> bool:
    """Whether arrays and objects lie in each other more than DEEPEST levels. Linear."""
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    brackets = _STRING.sub(b"", text).translate(_STEPS, _OTHERS)
    return max(accumulate(array("b", brackets)), default=0) > DEEPEST
