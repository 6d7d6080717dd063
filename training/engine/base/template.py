"""The chat template of a run: the model's own, or the spec's, with the spec's settings in it.

Settings are written into the template's first line. So whatever is rendered with the tokenizer,
here or by who loads a merged model, is rendered with them; a request to vLLM carries them instead.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from training.engine.errors import SpecError
from training.engine.spec import Base


def set_template(base: Base, tokenizer: Any) -> None:
    """Give the tokenizer the spec's template and settings. Raises SpecError."""
    if base.chat_template is not None:
        tokenizer.chat_template = _read(Path(base.chat_template).expanduser())
    own = tokenizer.chat_template
    if isinstance(own, dict):  # one for chats, others for tools
        own = tokenizer.chat_template = own.get("default")
    if not base.chat_template_kwargs:
        return
    if not own:
        raise SpecError(
            "base.chat_template_kwargs: the model has no chat template that would read them.",
            advice="Name one in base.chat_template, or leave the settings out.",
        )
    tokenizer.chat_template = with_settings(own, base.chat_template_kwargs)


def with_settings(template: str, settings: Mapping[str, JsonValue]) -> str:
    """The same template, told the settings. Python writes JSON values as Jinja reads them."""
    told = "".join(f"{{%- set {name} = {settings[name]!r} -%}}" for name in sorted(settings))
    return told + template


def _read(place: Path) -> str:
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise SpecError(
            f"base.chat_template: {place.name} cannot be read: {problem}",
            advice="Name a file with a Jinja template; a relative path begins at the run folder.",
        ) from problem
    if not text.strip():
        raise SpecError(f"base.chat_template: {place.name} is empty.")
    return text
