"""How the answers of an evaluation are written."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]


class EvaluationSettings(BaseModel):
    """Both sides answer the same prompts under these settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    prompts: Count = Field(
        default=64,
        ge=1,
        le=2000,
        description="Held-out prompts that both sides answer, fewer if the project has fewer.",
    )
    temperature: Number = Field(default=0.7, ge=0, le=2, description="0 takes the likeliest token.")
    top_p: Number = Field(
        default=0.95, gt=0, le=1, description="Share of the likeliest tokens that are drawn from."
    )
    max_tokens: Count = Field(default=128, ge=1, le=8192, description="Answers are cut off here.")
