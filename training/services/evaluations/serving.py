"""Bringing both sides of an evaluation to the servers: a job of the role that may write `served`.

It may be killed anywhere and run again; the answers are another job's (`answering`).
"""

import logging

from annotate.dispatch import enqueue
from annotate.errors import Refusal
from inference.errors import InferenceError, SwapRefused
from inference.locks import try_lock
from training.models import Evaluation
from training.services.evaluations import answer_store as store
from training.services.evaluations import contenders
from training.services.evaluations.asking import ANSWER, fail_evaluation

log = logging.getLogger(__name__)


def serve_evaluation(*, evaluation_id: int) -> None:
    """Load what is missing, then have the answers written; nothing while they are being written."""
    with try_lock(store.lock_of(evaluation_id)) as mine:
        evaluation = store.begin(evaluation_id) if mine else None
        served = evaluation is not None and _serve(evaluation)
    if served:  # the lock is free for the other job
        enqueue(ANSWER, evaluation_id=evaluation_id)


def _serve(evaluation: Evaluation) -> bool:
    """Whether both sides are served; else the evaluation says why not."""
    try:
        contenders.serve(evaluation)
    except SwapRefused as refused:
        if refused.permanent:
            fail_evaluation(evaluation_id=evaluation.pk, message=str(refused))
        else:
            store.wait(evaluation.pk, str(refused), counts=False)
    except InferenceError as error:
        put_off(evaluation.pk, error)
    except Refusal as lost:
        fail_evaluation(evaluation_id=evaluation.pk, message=lost.message)
    except OSError as error:
        log.exception("%s cannot begin", evaluation)
        why = f"The adapter's files cannot be copied: {error.strerror or error}. Then retry."
        fail_evaluation(evaluation_id=evaluation.pk, message=why)
    else:
        return True
    return False


def put_off(evaluation_id: int, error: InferenceError) -> None:
    """Until beat sends the job again, or for good when that would not help."""
    if error.permanent:
        fail_evaluation(evaluation_id=evaluation_id, message=f"{error.summary} Then retry.")
    else:
        store.wait(evaluation_id, error.summary, counts=not error.replica_is_away)
