"""Which texts of a prompt this tokenizer reads as control tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from formats.control_tokens import candidates, has_form, neutral_messages
from training.engine.data.report import Refused

ODD = "the prompt contains a control token of the model that cannot be written otherwise"


class ControlTokens:
    """Asks the tokenizer as `inference.client` asks a replica: is the text one token?"""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, bool] = {}
        # Nothing else in a text is recognized by its form.
        self._odd = [
            one for one in tokenizer.all_special_tokens if one.strip() and not has_form(one)
        ]

    def neutral(self, messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        """The messages as they are rendered. Raises Refused for a token of no known form."""
        texts = [turn["content"] for turn in messages]
        for token in self._odd:
            if any(token in text for text in texts):
                raise Refused(ODD, repr(token))
        return neutral_messages(messages, self._among(candidates(texts)))

    def _among(self, texts: Sequence[str]) -> list[str]:
        if new := [text for text in texts if text not in self._known]:
            ids = self._tokenizer("\n".join(new), add_special_tokens=False)["input_ids"]
            read = set(self._tokenizer.convert_ids_to_tokens(ids))
            self._known |= {text: text in read for text in new}
        return [text for text in texts if self._known[text]]
