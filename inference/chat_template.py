"""What a replica makes of a conversation: a hash over its tokens, and the token that ends a turn.

vLLM shows its chat template only where it was started with a special flag, and the same template
does different things with different tokenizers. So the hash is taken over what counts: the token
ids of two fixed conversations, which every replica tells through /tokenize. Whoever has the
tokenizer can compute the same hash with `tokens_hash`.

vLLM stops at the end of a text that the tokenizer names, and at what the model's generation_config
lists. A chat template may end a turn with yet another token; then a model writes on behind its
answer. Training ends answers with that token (training/engine/ending.py), and so does serving: it
is asked for with every request.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from formats.control_tokens import has_form
from inference.client import ReplicaClient
from inference.completions import Messages

PROBES: tuple[Messages, ...] = (
    # Without a system message: some templates put one in themselves.
    ({"role": "user", "content": "Which colour has the sky?"},),
    (
        {"role": "user", "content": "Count: 1, 2, 3 …\n\n  <b>next</b>"},
        {"role": "assistant", "content": " 4"},
        {"role": "user", "content": "Grüße! 你好 👋 "},
    ),
)
# Two answers that end differently: what the conversations have in common behind them is the
# template's.
_ANSWERS = ("It is blue", "Red, as 7")
# How tokenizers write blanks in the names of tokens.
_BLANKS = " \n\r\tĠĊčĉ▁"


@dataclass(frozen=True, slots=True)
class Measured:
    """hash: 64 hexadecimal digits. stop_token_ids: what ends a turn; () where nothing does."""

    hash: str
    stop_token_ids: tuple[int, ...]


async def measure(client: ReplicaClient, model: str) -> Measured:
    """Of `model` on a replica. Raises InferenceError."""
    asked = [(await client.tokenize(model, probe)).ids for probe in PROBES]
    answered = [
        await client.tokenize(
            model, [*PROBES[0], {"role": "assistant", "content": answer}], answered=True
        )
        for answer in _ANSWERS
    ]
    one, other = (list(zip(tokens.ids, tokens.texts, strict=True)) for tokens in answered)
    return Measured(tokens_hash(asked), _end(one, other))


def tokens_hash(conversations: Sequence[Sequence[int]]) -> str:
    """conversations: the token ids of each of PROBES, with the start of the answer."""
    text = ";".join(",".join(str(token) for token in tokens) for tokens in conversations)
    return hashlib.sha256(text.encode()).hexdigest()


def _end(one: Sequence[tuple[int, str]], other: Sequence[tuple[int, str]]) -> tuple[int, ...]:
    """The control token that comes first behind both answers, if nothing but blanks is before it.

    one, other: id and text of each token.
    """
    common = 0
    while common < min(len(one), len(other)) and one[-1 - common] == other[-1 - common]:
        common += 1
    for token, text in one[len(one) - common :]:
        if text.strip(_BLANKS):
            return (token,) if has_form(text) else ()
    return ()
