"""What a replica makes of a conversation, as one hash.

vLLM shows its chat template only where it was started with a special flag, and the same template
does different things with different tokenizers. So the hash is taken over what counts: the token
ids of two fixed conversations, which every replica tells through /tokenize. Whoever has the
tokenizer can compute the same hash with `tokens_hash`.
"""

import hashlib
from collections.abc import Sequence

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


async def measure(client: ReplicaClient, model: str) -> str:
    """The hash for `model` on a replica, 64 hexadecimal digits. Raises InferenceError."""
    return tokens_hash([await client.tokenize(model, probe) for probe in PROBES])


def tokens_hash(conversations: Sequence[Sequence[int]]) -> str:
    """conversations: the token ids of each of PROBES, with the start of the answer."""
    text = ";".join(",".join(str(token) for token in tokens) for tokens in conversations)
    return hashlib.sha256(text.encode()).hexdigest()
