"""Prompts under a number of tokens: whole old turns go, system message and template stay.

What is left is a conversation that a replica could have been asked, rendered by the same template.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from formats.conversation import Messages
from training.engine.data.encoding import Encoder
from training.engine.data.report import Refused
from training.engine.groups import Tokens

TOO_LONG = "prompt is longer than max_prompt_tokens, even without its older turns"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A prompt as it is used. dropped: how many of its oldest turns are gone."""

    messages: Messages
    tokens: Tokens
    dropped: int = 0


class Fitting:
    """Shortens prompts to the encoder's limit.

    whole_last: one whose last turn alone is over the limit is taken with that turn, not refused.
    """

    def __init__(self, encoder: Encoder, *, whole_last: bool = False) -> None:
        self._encoder = encoder
        self._whole_last = whole_last

    def fitted(self, conversations: Sequence[Messages]) -> list[Fitted | Refused]:
        """Each with as many of its last turns as fit, beginning with the user's.

        Refused stands for one that the template refuses, or that does not fit. Raises DataError.
        """
        encoded = self._encoder.prompts(conversations)
        return [
            tokens if isinstance(tokens, Refused) else self._shortened(messages, tokens)
            for messages, tokens in zip(conversations, encoded, strict=True)
        ]

    def _shortened(self, messages: Messages, tokens: Tokens) -> Fitted | Refused:
        most = self._encoder.longest_prompt
        if len(tokens) <= most:
            return Fitted(messages, tokens)
        system = 0
        while messages[system]["role"] == "system":
            system += 1
        users = [n for n, one in enumerate(messages) if n >= system and one["role"] == "user"]
        best: Fitted | None = None
        # From the last turn on: no text much over the limit is encoded.
        for first in reversed(users):
            left = messages[:system] + messages[first:]
            (found,) = self._encoder.prompts([left])
            if isinstance(found, Refused):
                return found
            one = Fitted(left, found, first - system)
            if len(found) > most:
                return best or self._too_long(one)
            best = one
        # Only turns of the assistant's stood before the first of the user's.
        return best or Refused(TOO_LONG, f"{len(tokens):,} tokens")

    def _too_long(self, last: Fitted) -> Fitted | Refused:
        if self._whole_last:
            return last
        return Refused(TOO_LONG, f"{len(last.tokens):,} tokens")
