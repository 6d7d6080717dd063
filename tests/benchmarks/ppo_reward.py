"""A reward that a program can judge: the share of words with an "e", times ten.

Alone in its module: the engine and TRL import it by itself (`ppo_reward:words_with_e`).
"""

import re
from collections.abc import Sequence
from typing import Any

_WORD = re.compile(r"[^\W\d_]+")


def share(text: str) -> float:
    """0 to 10; a text without words has 0."""
    words = _WORD.findall(text.lower())
    return 10 * sum("e" in word for word in words) / len(words) if words else 0.0


def words_with_e(completions: Sequence[Any], **_: Any) -> list[float]:
    """completions: each a list of messages, the answer last."""
    return [share(one[-1]["content"]) for one in completions]
