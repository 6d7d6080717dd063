"""Celery shells around services."""

from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from annotate.dispatch import enqueue
from training.queries import evaluations as evaluation_reads
from training.queries import promotions as promotion_reads
from training.queries import snapshots
from training.services import evaluations, loop, promotions, rebuilding
from training.services.evaluations import answering, contenders, judging, serving
from training.services.loop.advancing import ADVANCE
from training.services.loop.stages import people
from training.services.loop.stages.people import SERVE
from training.services.promotions import PROMOTE
from training.services.rebuilding import CONTINUE
from training.services.runs import leases, running, tidying
from training.services.runs.leases import TRAIN
from training.services.snapshots import BUILD, building


@shared_task(name=BUILD)
def build_snapshot(snapshot_id: int) -> None:
    building.build_snapshot(snapshot_id=snapshot_id)


@shared_task(name="training.advance_snapshots", soft_time_limit=30)
def advance_snapshots() -> None:
    """Send the jobs that wait: after a crash, a lost message, or another one of the project.

    And those of rebuilds whose snapshot has been built.
    """
    for snapshot_id in snapshots.to_advance():
        enqueue(BUILD, snapshot_id=snapshot_id)
    for rebuild_id in rebuilding.to_continue():
        enqueue(CONTINUE, rebuild_id=rebuild_id)


@shared_task(name=CONTINUE)
def continue_rebuild(rebuild_id: int) -> None:
    rebuilding.continue_rebuild(rebuild_id=rebuild_id)


@shared_task(name=PROMOTE)
def promote(promotion_id: int) -> None:
    promotions.perform(promotion_id=promotion_id)


@shared_task(name="training.advance_promotions", soft_time_limit=30)
def advance_promotions() -> None:
    """Send the swaps that wait: for a server, for another swap, after a crash."""
    for promotion_id in promotion_reads.to_advance():
        enqueue(PROMOTE, promotion_id=promotion_id)


@shared_task(name=TRAIN)
def run_training(run_id: int) -> None:
    """The run says that one waits; which one is taken is seen once there is a worker for it."""
    running.run_in_turn()


@shared_task(name="training.advance_runs", soft_time_limit=30)
def advance_runs() -> None:
    """Take runs from workers that are lost, and send those that wait for a worker."""
    leases.reap()
    leases.send_waiting()


@shared_task(name=evaluations.SERVE)
def serve_evaluation(evaluation_id: int) -> None:
    serving.serve_evaluation(evaluation_id=evaluation_id)


@shared_task(name=evaluations.ANSWER)
def answer_evaluation(evaluation_id: int) -> None:
    answering.answer_evaluation(evaluation_id=evaluation_id)


@shared_task(name=evaluations.JUDGE)
def judge_evaluation(evaluation_id: int) -> None:
    judging.judge_evaluation(evaluation_id=evaluation_id)


@shared_task(name="training.advance_evaluations", soft_time_limit=30)
def advance_evaluations() -> None:
    """Send the jobs that wait: for a server, for a worker, after a crash."""
    contenders.release_forgotten()
    for evaluation_id in evaluation_reads.to_answer():
        enqueue(evaluations.SERVE, evaluation_id=evaluation_id)
    for evaluation_id in judging.to_send():
        enqueue(evaluations.JUDGE, evaluation_id=evaluation_id)


@shared_task(name="training.tidy_runs", soft_time_limit=600)
def tidy_runs() -> None:
    tidying.tidy_runs()
    judging.tidy_scores()


@shared_task(name=ADVANCE)
def advance_step(step_id: int) -> None:
    loop.advance(step_id=step_id)


@shared_task(name=SERVE)
def serve_candidate(step_id: int) -> None:
    people.serve_candidate(step_id=step_id)


@shared_task(name="training.turn_loops", soft_time_limit=30)
def turn_loops() -> None:
    """Begin the turns that are due, and send the jobs of steps that are under way."""
    loop.tick()


@worker_shutting_down.connect
def stop_training(**_: Any) -> None:
    running.stopping.set()
