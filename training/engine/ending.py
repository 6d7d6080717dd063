"""Where an answer ends: decided here, for everything that samples."""

from typing import Any

from training.engine.data import Chat
from training.engine.groups import Tokens


def ends_of_turn(tokenizer: Any, model: Any) -> Tokens:
    """The tokens that end an answer: that of the chat template first, which completions end with.

    Then those at which servers and transformers stop as well: the tokenizer's end of a text, and
    what the model's generation_config lists. Raises DataError for a template that has no end.
    """
    config = getattr(model, "generation_config", None)
    listed = getattr(config, "eos_token_id", None)
    more = [listed] if isinstance(listed, int) else list(listed or ())
    found = (*Chat(tokenizer).end, tokenizer.eos_token_id, *more)
    return tuple(dict.fromkeys(int(one) for one in found if one is not None))


def set_ends(tokenizer: Any, model: Any) -> None:
    """Let `generate`, and TRL, which asks the model's generation_config, end there."""
    model.generation_config.eos_token_id = list(ends_of_turn(tokenizer, model))
