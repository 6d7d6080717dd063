"""Texts as token ids, each distinct one encoded once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.engine.data.chat import Chat
from training.engine.data.examples import Answer
from training.engine.data.files import digest
from training.engine.data.report import Refused
from training.engine.groups import Tokens

# Byte that no UTF-8 text has: it keeps the keys of cut-off completions apart.
_CUT_OFF = b"\xff"
_ANCHOR = "\n"
_OPENED = re.compile(r"\A\s*<think>\n?")


class Encoder:
    """Prompts and completions of one tokenizer, truncated as the data settings say.

    Texts are remembered by their hash, tokens as shared numbers: 100,000 pairs take hundreds of
    megabytes, not gigabytes.
    """

    def __init__(self, chat: Chat, *, max_prompt_tokens: int, max_completion_tokens: int) -> None:
        self.chat = chat
        tokenizer = chat.tokenizer
        self._tokenizer: Any = tokenizer
        self.longest_prompt = max_prompt_tokens
        self._longest_completion = max_completion_tokens
        self._prompts: dict[bytes, Tokens] = {}
        self._completions: dict[bytes, Tokens | None] = {}
        self._numbers = list(range(len(tokenizer)))
        self._anchor = self._found_anchor()

    @property
    def settings(self) -> dict[str, object]:
        """What decides which tokens a text becomes."""
        return {
            "template": self.chat.hash,
            "end": self.chat.end,
            "head": self.chat.head,
            "system_role": self.chat.system_role,
            "max_prompt_tokens": self.longest_prompt,
            "max_completion_tokens": self._longest_completion,
        }

    def prompts(
        self, conversations: Iterable[Sequence[Mapping[str, str]]]
    ) -> list[Tokens | Refused]:
        """Token ids of each up to and with the opening of the assistant's turn, however many.

        Refused stands for one that the template refuses. Raises DataError.
        """
        rendered = [self._rendered(one) for one in conversations]
        texts = {_key(one): one for one in rendered if isinstance(one, str)}
        new = [key for key in texts if key not in self._prompts]
        found: dict[bytes, Tokens] = {}
        for key, ids in zip(new, self._ids([texts[key] for key in new]), strict=True):
            found[key] = self._tokens(ids)
            if len(ids) <= self.longest_prompt:  # others are not used as they are
                self._prompts[key] = found[key]
        found |= {key: self._prompts[key] for key in texts if key in self._prompts}
        return [found[_key(one)] if isinstance(one, str) else one for one in rendered]

    def completions(self, answers: Sequence[Answer]) -> list[Tokens | None]:
        """Token ids of each with the end of the turn; None for one that is too long.

        A completion that was cut off while it was sampled has no end of turn: the model did not
        end there, and must not learn to.
        """
        known = self._completions
        keys = [_answer_key(answer) for answer in answers]
        texts = dict(zip(keys, answers, strict=True))
        new = [key for key in texts if key not in known]
        written = [self._written(texts[key].text) for key in new]
        for key, ids in zip(new, self._ids_behind_prompt(written), strict=True):
            end = () if texts[key].cut_off else self.chat.end
            fits = len(ids) + len(end) <= self._longest_completion
            known[key] = self._tokens((*ids, *end)) if fits else None
        return [known[key] for key in keys]

    def _rendered(self, conversation: Sequence[Mapping[str, str]]) -> str | Refused:
        try:
            return self.chat.prompt(conversation)
        except Refused as refused:
            return refused

    def _written(self, text: str) -> str:
        head = self.chat.head
        if self.chat.thinks:  # the prompt has opened the thought already
            text = _OPENED.sub("", text)
        return text if text.startswith(head) else head + text

    def _tokens(self, ids: Iterable[int]) -> Tokens:
        return tuple(map(self._numbers.__getitem__, ids))

    def _ids(self, texts: list[str], *, plain: bool = False) -> list[list[int]]:
        """plain: "<|im_end|>" in a text is what it says, not a token that ends a turn."""
        if not texts:
            return []
        found: list[list[int]] = self._tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=plain,
            return_attention_mask=False,
            verbose=False,
        )["input_ids"]
        return found

    def _ids_behind_prompt(self, texts: list[str]) -> list[list[int]]:
        """Ids of texts that stand behind others, as a model writes them.

        Some tokenizers put a blank before whatever they are given (SentencePiece): texts are given
        to those behind a line break, which is taken away again.
        """
        if not self._anchor:
            return self._ids(texts, plain=True)
        start = len(self._anchor)
        found = self._ids([_ANCHOR + text for text in texts], plain=True)
        merged = [place for place, ids in enumerate(found) if ids[:start] != self._anchor]
        alone = self._ids([texts[place] for place in merged], plain=True)
        found = [ids[start:] for ids in found]
        for place, ids in zip(merged, alone, strict=True):
            found[place] = ids
        return found

    def _found_anchor(self) -> list[int]:
        anchor, alone, behind = self._ids([_ANCHOR, "a", _ANCHOR + "a"], plain=True)
        stands_apart = behind[: len(anchor)] == anchor
        return anchor if stands_apart and behind[len(anchor) :] != alone else []


def _key(text: str) -> bytes:
    return digest(text.encode())


def _answer_key(answer: Answer) -> bytes:
    return digest(answer.text.encode() + (_CUT_OFF if answer.cut_off else b""))
