from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "annotate" / "examples"


@pytest.fixture
def example_prompts() -> Path:
    return EXAMPLES / "prompts.jsonl"
