"""How long prompts and answers of a run may be: as long as those that its data hold."""

from collections.abc import Mapping
from typing import Any

from training.engine.presets import PRESETS
from training.engine.spec import Data

# The end of the turn, and what a text may take more when it is encoded anew.
SPARE = 16
DEFAULT = Data.model_fields["max_completion_tokens"].default


def limits_of(counts: Mapping[str, Any], method: str, preset: str) -> dict[str, int]:
    """max_prompt_tokens and max_completion_tokens, by the rounds that wrote a snapshot's answers.

    So nothing of it is left out for its length unless somebody asks for that: prompts as long as
    the longest that the model was asked, answers as long as the sampling allowed. Better answers
    that people wrote (SFT) have no such bound: there the preset's limit stays, if it is larger.

    counts: of the snapshot's manifest; {} where it does not tell, as before version 3.
    """
    longest = counts.get("longest") or {}
    if not longest.get("answer"):
        return {}
    answer = longest["answer"] + SPARE
    if method == "sft":
        answer = max(answer, PRESETS[preset].max_tokens if preset in PRESETS else DEFAULT)
    return {"max_prompt_tokens": longest["prompt"] + SPARE, "max_completion_tokens": answer}
