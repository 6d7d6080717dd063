"""How long a text a base model can read."""

from typing import Any

from training.engine.base.load import LoadedBase
from training.engine.errors import SpecError


def refuse_longer(
    base: LoadedBase,
    longest: int,
    *,
    advice: str = "Lower data.max_prompt_tokens or data.max_completion_tokens.",
) -> None:
    """Raises SpecError when `longest` tokens are more than the model has positions for.

    Learned positions (GPT-2, BERT) end there; others lose what they say.
    """
    limit = _positions(base.model)
    if limit is None or longest <= limit:
        return
    raise SpecError(
        f"The longest prompt with its completion has {longest:,} tokens, and {base.name} reads "
        f"{limit:,} at most.",
        advice=advice,
    )


def _positions(model: Any) -> int | None:
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is None or limit <= 0:
        return None
    # RoBERTa-class models count positions from behind the one that stands for padding.
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return int(limit) if padding is None else int(limit) - padding - 1
