"""The entries of a step's timeline, and the name of the job that moves it on."""

from django.db.models import Max

from training.models import LoopEvent, LoopStep

ADVANCE = "training.advance_step"


def note(step: LoopStep, text: str) -> None:
    """Write what happened in the step's stage. The caller holds the step's row."""
    last = step.events.aggregate(last=Max("position"))["last"]
    position = 0 if last is None else last + 1
    LoopEvent.objects.create(step=step, position=position, stage=step.stage, text=text)
