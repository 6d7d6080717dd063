"""Files that come with Prefloop for training."""

from pathlib import Path

# Ordinary prose, written for Prefloop: how much less likely it becomes tells what was forgotten.
GENERAL_TEXT = Path(__file__).parent / "general.txt"
