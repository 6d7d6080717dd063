"""How the answers of an evaluation are written."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from formats.bounds import EVALUATED_PROMPTS, MAX_TOKENS, TEMPERATURE, TOP_P

Number = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]


class EvaluationSettings(BaseModel):
    """Both sides answer the same prompts under these settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompts: Count = Field(
        default=64,
        ge=EVALUATED_PROMPTS.least,
        le=EVALUATED_PROMPTS.most,
        description="Held-out prompts that both sides answer, fewer if the project has fewer.",
    )
    temperature: Number = Field(
        default=0.7,
        ge=TEMPERATURE.least,
        le=TEMPERATURE.most,
        description="0 takes the likeliest token.",
    )
    top_p: Number = Field(
        default=0.95,
        ge=TOP_P.least,
        le=TOP_P.most,
        description="Share of the likeliest tokens that are drawn from.",
    )
    max_tokens: Count = Field(
        default=128,
        ge=MAX_TOKENS.least,
        le=MAX_TOKENS.most,
        description="Answers are cut off here.",
    )
