"""The end of an evaluation: its report from what the database holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotate.services import audit
from training.evaluation.hacking import Won
from training.evaluation.report import Answer, Judge, make_report
from training.models import Evaluation, EvaluationState, Side
from training.queries.evaluations import REFUSED
from training.runs.left_out import share_of
from training.services.evaluations.hacking import suspicion


@transaction.atomic
def finish_evaluation(evaluation: Evaluation) -> None:
    """Make the report; the caller holds the row."""
    pairs, left_out = _answers(evaluation)
    judge = _judge(evaluation)
    report = make_report(
        evaluation.candidate.run.measured,
        pairs,
        judge,
        left_out=left_out,
        data_left_out=share_of(evaluation.candidate.run.data_report),
    )
    report["notes"] = list(_notes(evaluation, judge, report))
    evaluation.report, evaluation.state = report, EvaluationState.READY
    evaluation.finished_at, evaluation.lease, evaluation.message = timezone.now(), None, ""
    evaluation.save(update_fields=["report", "state", "finished_at", "lease", "message"])
    audit.record(
        verb="became ready", of=evaluation, project_id=evaluation.project_id, actor_id=None
    )


def _answers(evaluation: Evaluation) -> tuple[list[tuple[Answer, Answer]], int]:
    """Of each prompt that both sides answered; and how many they did not both."""
    found: dict[int, dict[str, Answer]] = {}
    rows = evaluation.answers.order_by("prompt_id").values_list(
        "prompt_id", "side", "tokens", "finish_reason", "reward", "text"
    )
    for prompt, side, tokens, finish_reason, reward, text in rows:
        sides = found.setdefault(prompt, {})
        if finish_reason != REFUSED:
            sides[side] = Answer(tokens, finish_reason == "length", reward, text)
    whole = [sides for sides in found.values() if len(sides) == 2]
    pairs = [(sides[Side.CANDIDATE], sides[Side.INCUMBENT]) for sides in whole]
    return pairs, len(found) - len(whole)


def _judge(evaluation: Evaluation) -> Judge | None:
    adapter = evaluation.judge
    if adapter is None:
        return None
    return Judge(adapter.number, (adapter.run.measured or {}).get("accuracy"))


def _notes(evaluation: Evaluation, judge: Judge | None, report: Mapping[str, Any]) -> Iterator[str]:
    run, won = evaluation.candidate.run, report["win_rate"]
    wanted = evaluation.settings["prompts"]
    if evaluation.prompts < wanted:
        yield (
            f"The project has {evaluation.prompts} held-out prompts, fewer than the {wanted} asked "
            "for: intervals are wide. Import more prompts."
        )
    if judge is not None and judge.doubt:
        yield judge.doubt
    if won and (text := suspicion(run, Won(won["value"], won["low"], won["high"], "the judge"))):
        yield text
    if evaluation.judge_id and run.judge_id == evaluation.judge_id:
        yield (
            "The candidate was trained on the rewards of this very judge: its win rate is likely "
            "too high. Train another reward model to judge it."
        )
    if report["prompts"] == 0:
        yield "No prompt was answered by both sides."
