"""What the fields of a spec are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.types import JsonValue

# Strict: "16" is no number and 1 is no yes. A spec refuses, it never repairs.
Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(min_length=1)]

# The JSON schema names the unit beside a number.
TOKENS: dict[str, JsonValue] = {"unit": "tokens"}
STEPS: dict[str, JsonValue] = {"unit": "steps"}


class Section(BaseModel):
    """A part of a spec: it cannot be changed, and knows no other fields than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
