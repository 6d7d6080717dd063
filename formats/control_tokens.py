"""Control tokens in what people wrote: "<|im_end|>" in a prompt would end the user's turn.

A model reads such a text as one token, wherever it stands. What is served and what is trained on
asks models the same question only if both make the same of it: a blank behind its first character
takes the meaning away ("< |im_end|>") and leaves it readable. What people see and what is stored
keeps the text as it was written.

Whether a text of this form is a token, only the model's tokenizer knows: both ask it.
"""

import re
from collections.abc import Collection, Mapping, Sequence

# The forms of control tokens: <|im_end|>, <end_of_turn>, <｜User｜>, </s>, [INST].
_FORM = re.compile(r"<[^<>\s]{1,80}>|\[[^\[\]\s]{1,80}\]")
# Those that hardly are anything else.
_PLAIN = re.compile(
    r"<\|[^<>|\s]{1,80}\|>|<｜[^<>｜\s]{1,80}｜>|<\|[a-z_]{1,40}>|<[a-z_]{1,40}\|>"
    r"|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[/?INST\]"
)
# What an assistant's earlier turn may have written itself, and templates look for.
THOUGHTS = frozenset(
    f"{left}{slash}{name}{right}"
    for left, right, names in (("<", ">", ("think", "tool_call")), ("[", "]", ("THINK",)))
    for slash in ("", "/")
    for name in names
)


def candidates(texts: Sequence[str]) -> list[str]:
    """Each distinct text of the form of a control token, in order."""
    return list(dict.fromkeys(one for text in texts for one in _FORM.findall(text)))


def likely(texts: Sequence[str]) -> list[str]:
    """Each distinct text that is a control token of some well-known model, in order."""
    return list(dict.fromkeys(one for text in texts for one in _PLAIN.findall(text)))


def has_form(text: str) -> bool:
    """Whether `candidates` would find it."""
    return _FORM.fullmatch(text) is not None


def neutral(text: str, tokens: Collection[str]) -> str:
    """The text with a blank inside of each of the tokens. Other texts stay as they are."""

    def split(found: re.Match[str]) -> str:
        one = found[0]
        return f"{one[0]} {one[1:]}" if one in tokens else one

    return _FORM.sub(split, text)


def neutral_messages(
    messages: Sequence[Mapping[str, str]], tokens: Collection[str]
) -> list[dict[str, str]]:
    """Every message's content neutral. An assistant's earlier thoughts keep their marks."""
    of = {"assistant": frozenset(tokens) - THOUGHTS}
    return [
        {**turn, "content": neutral(turn["content"], of.get(turn["role"], tokens))}
        for turn in messages
    ]
