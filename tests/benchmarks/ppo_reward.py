"""A reward that a program can judge: how many more words than usual have an "e".

Alone in its module: the engine and TRL import it by itself (`ppo_reward:words_with_e`).
"""

import re
from collections.abc import Sequence
from typing import Any

_WORD = re.compile(r"[^\W\d_]+")
USUAL = 0.45  # the share of the model's own answers, so that critics, which start at 0, are right


def score(text: str) -> float:
    """Ten times the share of words with an "e", less the usual; -4.5 to 5.5, no words: -4.5."""
    words = _WORD.findall(text.lower())
    share = sum("e" in word for word in words) / len(words) if words else 0.0
    return 10 * (share - USUAL)


def words_with_e(completions: Sequence[Any], **_: Any) -> list[float]:
    """completions: each a list of messages, the answer last."""
    return [score(one[-1]["content"]) for one in completions]
