"""What a run learns from: files of rankings, pairs, demonstrations and text as token ids."""

from training.engine.data.chat import Chat, template_hash
from training.engine.data.demonstrations import (
    Demonstration,
    Demonstrations,
    load_demonstrations,
)
from training.engine.data.preferences import Preferences, load_preferences
from training.engine.data.prompts import Prompt, Prompts, load_prompts
from training.engine.data.report import Dropped, DropReport
from training.engine.data.text import load_text
from training.engine.data.unpaired import Labeled

__all__ = [
    "Chat",
    "Demonstration",
    "Demonstrations",
    "DropReport",
    "Dropped",
    "Labeled",
    "Preferences",
    "Prompt",
    "Prompts",
    "load_demonstrations",
    "load_preferences",
    "load_prompts",
    "load_text",
    "template_hash",
]
