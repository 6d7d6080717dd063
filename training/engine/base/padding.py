"""Which token may fill a batch up without being mistaken for text."""

from typing import Any


def padding_token(tokenizer: Any) -> str | None:
    """A token that no conversation contains, or None if the tokenizer has none.

    Many tokenizers (SmolLM2's, GPT-2's) pad with the token that ends a turn. Who then looks for
    the last token that is no padding, finds the one before the end, and who masks the padding,
    masks the end. Training in Prefloop never looks at token ids for that: it knows lengths.
    """
    taken = {tokenizer.eos_token, tokenizer.bos_token}
    template = str(tokenizer.chat_template or "")
    special = [str(token) for token in tokenizer.all_special_tokens]
    added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    by_name = [token for token in added if "pad" in token.lower()]
    reserved = [token for token in added if "reserved" in token or "unused" in token]
    for token in (tokenizer.pad_token, *by_name, tokenizer.unk_token, *reserved, *special):
        if token is not None and token not in taken and token not in template:
            return str(token)
    return None
