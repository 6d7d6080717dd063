"""Moving a step on: a job that may be killed anywhere, sent twice, and run by two workers at once.

Each stage is looked at in a transaction that holds the step's row; whoever finds it held leaves.
"""

import logging

from django.db import InterfaceError, OperationalError, transaction

from annotate.errors import Refusal
from training.loop.outcomes import Failed, GoOn, Outcome, Over, Wait
from training.loop.policy import PolicyError, read
from training.models import LoopStep, Stage, StepState
from training.services.loop import stages
from training.services.loop.ending import fail, finish
from training.services.loop.timeline import ADVANCE, note
from training.services.loop.turn import turn_of

__all__ = ["ADVANCE", "advance"]

log = logging.getLogger(__name__)

# More than there are stages: a model that changes meanwhile leads back to the evaluation.
MOVES = 32
DECIDING = (Stage.EVALUATE, Stage.GATE, Stage.HUMANS, Stage.PROMOTE)


def advance(*, step_id: int) -> None:
    """Let the step go as far as it can now. Does nothing to one that is paused or has ended."""
    for _ in range(MOVES):
        if not _move(step_id):
            return


@transaction.atomic
def _move(step_id: int) -> bool:
    """Whether the step is in another stage now, which is to be looked at at once."""
    step = (
        LoopStep.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("project")
        .filter(pk=step_id, state=StepState.RUNNING)
        .first()
    )
    return step is not None and _apply(step, _look(step))


def _look(step: LoopStep) -> Outcome:
    """What the stage says; all that it made is taken back when it cannot be done."""
    try:
        with transaction.atomic():
            return stages.BY_NAME[Stage(step.stage)].look(turn_of(step))
    except Refusal as refusal:
        outcome: Outcome = Wait(refusal.message) if refusal.retry else Failed(refusal.message)
    except PolicyError as problem:
        text = f"The settings of this step do not fit any more: {problem}. Begin a new one."
        outcome = Failed(text)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the job comes again
    except Exception:
        log.exception("%s in the stage %s", step, step.stage)
        outcome = Failed("This is a fault of Prefloop. The worker's log has the detail.")
    step.refresh_from_db()
    return outcome


def _apply(step: LoopStep, outcome: Outcome) -> bool:
    match outcome:
        case Wait(text):
            if text and text != step.waiting_for:
                step.waiting_for = text
                step.save(update_fields=["waiting_for"])
        case Failed(text):
            fail(step, text)
        case GoOn(text, stage):
            note(step, text)
            following = stages.after(Stage(step.stage), read(step.settings)).name
            step.stage, step.waiting_for = stage or following, ""
            step.save(update_fields=["stage", "waiting_for"])
            return True
        case Over(text):
            finish(step, f"{_decision(step)} {text}")
    return False


def _decision(step: LoopStep) -> str:
    """What became of the candidate, as the timeline says it."""
    told = step.events.filter(stage__in=DECIDING).order_by("position").last()
    return told.text if told else ""
