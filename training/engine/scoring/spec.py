"""scoring.json: which reward model, on which base."""

from pathlib import Path

from pydantic import Field, ValidationError

from training.engine.errors import SpecError
from training.engine.spec import Base
from training.engine.spec.fields import TOKENS, Integer, Name, Section
from training.engine.spec.reading import read_values
from training.engine.spec.words import problems


class Scoring(Section):
    """A reward adapter with its base. Paths are absolute, or relative to the folder."""

    adapter: Name = Field(description="The folder of the reward adapter.")
    base: Base = Field(description="The model that it was trained on.")
    tokens_per_pack: Integer = Field(
        default=4096,
        ge=1,
        le=4_194_304,
        description="Tokens that go through the model at a time: memory and speed.",
        json_schema_extra=TOKENS,
    )


def read_scoring(path: Path) -> Scoring:
    """Raises SpecError as `read_spec` does."""
    try:
        return Scoring.model_validate(read_values(path))
    except ValidationError as problem:
        found = problems(problem, Scoring)
        lines = (f"{field}: {what}" if field else what for field, what in found)
        raise SpecError("\n".join(lines)) from problem
