"""A reward model scores both sides' answers, in a child process that a job watches.

The evaluation is held by a lease and a heartbeat, as a run is: another worker takes it up when this
one dies. What was scored before stays in the folder of this machine, and is not scored again.
"""

import logging
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from annotate.errors import Conflict, Refusal
from formats.documents import with_documents
from inference.local import bundled_gguf
from training import adapter_store
from training.models import Evaluation, EvaluationAnswer, EvaluationState, TrainedAdapter
from training.queries.evaluations import LOST_AFTER, REFUSED, to_judge
from training.runs.base_model import name_of, place_of
from training.runs.child import Child
from training.runs.endings import for_people, without_word
from training.runs.folder import RunFiles, read_json
from training.runs.log_tail import tail
from training.services.evaluations.asking import fail_evaluation
from training.services.evaluations.reporting import finish_evaluation
from training.services.runs.running import stopping

log = logging.getLogger(__name__)

ATTEMPTS = 3
BEAT_EVERY_S = 2.0
STOP_WITHIN_S = 20.0
PROGRESS_WITHIN_S = 1800.0
AT_A_TIME = 500


SEND_EVERY_S = 60  # unread messages expire after a minute (annotate.dispatch)


class Lost(Exception):
    """Somebody canceled the evaluation, or another worker has it."""


def to_send() -> list[int]:
    """Evaluations that wait for a judge, each once a minute: a worker may be busy for hours."""
    return [pk for pk in to_judge() if cache.add(f"training.judge.{pk}", 1, SEND_EVERY_S)]


def judge_evaluation(*, evaluation_id: int) -> None:
    """Score the answers and finish the evaluation, unless another worker does."""
    evaluation = _take(evaluation_id)
    if evaluation is None:
        return
    folder = Path(settings.TRAINING_SCORES) / str(evaluation_id)
    try:
        _prepare(evaluation, folder)
        code = _watch(evaluation, folder)
        if code is None:
            _give_back(evaluation, counts=False)
        elif _conclude(evaluation, folder, code):
            shutil.rmtree(folder, ignore_errors=True)
    except Lost:
        log.info("%s was canceled, or is judged by another worker", evaluation)
    except Refusal as lost:
        fail_evaluation(evaluation_id=evaluation_id, message=lost.message)
    except OSError as error:
        log.exception("%s cannot be judged", evaluation)
        why = f"The files for the judge cannot be written: {error.strerror or error}. Then retry."
        fail_evaluation(evaluation_id=evaluation_id, message=why)


def tidy_scores() -> None:
    """Remove the folders of evaluations that failed or were canceled, when nobody retries them."""
    for folder in Path(settings.TRAINING_SCORES).glob("[0-9]*"):
        unfinished_or_new = Evaluation.objects.exclude(
            finished_at__lt=timezone.now() - timedelta(days=settings.TRAINING_KEEP_DAYS)
        )
        if not unfinished_or_new.filter(pk=int(folder.name)).exists():
            shutil.rmtree(folder, ignore_errors=True)


@transaction.atomic
def _take(evaluation_id: int) -> Evaluation | None:
    nobody = Q(lease=None) | Q(heartbeat_at__lt=timezone.now() - LOST_AFTER)
    found = Evaluation.objects.select_for_update(of=("self",)).filter(
        nobody, pk=evaluation_id, state=EvaluationState.JUDGING
    )
    evaluation = found.select_related("judge__run").first()
    if evaluation is None:
        return None
    if evaluation.attempts >= ATTEMPTS:
        message = (
            f"The judging process or its worker was lost {ATTEMPTS} times. The worker's log, or "
            "the machine's when it ran out of memory, says why. Then retry."
        )
        fail_evaluation(evaluation_id=evaluation_id, message=message)
        return None
    evaluation.lease, evaluation.heartbeat_at = uuid4(), timezone.now()
    evaluation.attempts += 1
    evaluation.save(update_fields=["lease", "heartbeat_at", "attempts"])
    return evaluation


def _prepare(evaluation: Evaluation, folder: Path) -> None:
    """Raises Conflict when the judge's files or its base are not there, OSError."""
    judge = evaluation.judge
    assert judge is not None  # noqa: S101  # without one nothing is judged
    folder.mkdir(parents=True, exist_ok=True)
    RunFiles(folder).forget_earlier_end()
    spec = judge.run.spec
    scoring = {
        "adapter": str(adapter_store.local_folder(judge.content_hash)),
        "base": {"model": _base_of(judge), "precision": spec["base"]["precision"]},
        "tokens_per_pack": spec["training"]["tokens_per_pack"],
    }
    (folder / "scoring.json").write_bytes(orjson.dumps(scoring))
    answers = evaluation.answers.exclude(finish_reason=REFUSED).select_related("prompt")
    with (folder / "answers.jsonl").open("wb") as file:
        for answer in answers.order_by("prompt_id", "side").iterator(AT_A_TIME):
            file.write(orjson.dumps(_line(answer), option=orjson.OPT_APPEND_NEWLINE))


def _base_of(judge: TrainedAdapter) -> str:
    base = name_of(settings.TRAINING_MODEL)
    if judge.base != base:
        raise Conflict(
            f"The judge, adapter {judge.number}, was trained on {judge.base}, and TRAINING_MODEL "
            f"is {base} now. Evaluate with a judge of {base}."
        )
    try:
        return place_of(settings.TRAINING_MODEL, settings.MODELS) or str(bundled_gguf())
    except FileNotFoundError as problem:
        raise Conflict(f"The judge's base is not on this machine: {problem}.") from None


def _line(answer: EvaluationAnswer) -> dict[str, Any]:
    prompt = answer.prompt
    return {
        "id": answer.pk,
        "messages": with_documents(prompt.messages, prompt.documents),
        "completion": answer.text,
        "finish_reason": answer.finish_reason,
    }


def _watch(evaluation: Evaluation, folder: Path) -> int | None:
    """The child's exit code; None when this worker is asked to stop. Raises Lost."""
    command = [sys.executable, "-m", "training.engine.scoring", str(folder)]
    child = Child(command, folder / "log.txt")
    code = None
    try:
        begun = time.monotonic()
        while code is None and not stopping.is_set():
            code = child.wait(BEAT_EVERY_S)
            if _beat(evaluation, folder):
                begun = time.monotonic()
            if time.monotonic() - begun > PROGRESS_WITHIN_S:
                raise Conflict(
                    "The judging process made no progress for half an hour and was ended. Its log "
                    f"in {folder.name}/log.txt says more. Then retry."
                )
        return code
    finally:
        if code is None:
            child.ask_to_stop()
            if child.wait(STOP_WITHIN_S) is None:
                child.kill()


def _held(evaluation: Evaluation) -> QuerySet[Evaluation]:
    return Evaluation.objects.filter(
        pk=evaluation.pk, state=EvaluationState.JUDGING, lease=evaluation.lease
    )


def _beat(evaluation: Evaluation, folder: Path) -> bool:
    """Say that it lives, and how far it is. Returns whether that is new. Raises Lost."""
    said = read_json(RunFiles(folder).heartbeat) or {}
    of = f": {said['step']} of {said['steps']} answers" if said.get("steps") else ""
    message = f"The judge: {said['phase']}{of}" if said else evaluation.message
    if not _held(evaluation).update(heartbeat_at=timezone.now(), message=message):
        raise Lost
    changed, evaluation.message = message != evaluation.message, message
    return changed


def _give_back(evaluation: Evaluation, *, counts: bool) -> None:
    """Another worker takes it up. counts: as one of the attempts."""
    attempts = F("attempts") - (0 if counts else 1)
    _held(evaluation).update(lease=None, heartbeat_at=None, message="", attempts=attempts)


def _conclude(evaluation: Evaluation, folder: Path, code: int) -> bool:
    """Whether it is ready; else it failed, or is taken up again. Raises Lost, Conflict."""
    result = read_json(RunFiles(folder).result)
    if result is None:
        ending = without_word(code, tail(folder / "log.txt"))
        if ending.again:
            _give_back(evaluation, counts=True)
            return False
        raise Conflict(_in_words(ending.message, ending.advice))
    if result["state"] == "stopped":
        _give_back(evaluation, counts=True)
        return False
    if result["state"] != "finished":
        raise Conflict(_in_words(result["message"], result["advice"]))
    _finish(evaluation, folder)
    return True


def _in_words(message: str, advice: str) -> str:
    said = for_people(advice)
    for run, button in (("Resume the run", "Retry"), ("resume the run", "retry")):
        said = said.replace(run, button)
    return f"The judge failed: {message} {said}".strip()


@transaction.atomic
def _finish(evaluation: Evaluation, folder: Path) -> None:
    mine = _held(evaluation).select_for_update().first()
    if mine is None:
        raise Lost
    answers = mine.answers.in_bulk()
    scored = []
    for line in (folder / "scores.jsonl").read_bytes().splitlines():
        score = orjson.loads(line)
        if (answer := answers.get(score["id"])) is not None:
            answer.reward = score["reward"]
            scored.append(answer)
    EvaluationAnswer.objects.bulk_update(scored, ["reward"], batch_size=AT_A_TIME)
    finish_evaluation(mine)
