"""Which job is done by which process, and the folders that it needs there.

The one table for routes (settings), processes (`annotate.launch.plan`) and containers: a test
compares it with what docker/compose.yaml runs and mounts, another has the whole loop turned by
processes that share nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Folder(StrEnum):
    """Below VAR_DIR. With a STORAGE_URL, snapshots and adapters are in the bucket instead."""

    SNAPSHOTS = "training/snapshots"
    ADAPTERS = "training/adapters"
    DRAFTS = "training/drafts"  # a snapshot before it is stored; beside it, because it is as large
    COPIES = "training/adapter-copies"  # of adapters in a bucket, before they are used
    RUNS = "training/runs"  # of the machines that train: one for each run, named by its id
    SCORES = "training/scores"  # of the same: one for each evaluation that is being judged
    MODELS = "models"  # what was unpacked or fetched, by name
    SERVED = "served"  # copies of adapters; replicas read it under the same path


class Queue(StrEnum):
    DEFAULT = "default"
    GENERATE = "generate"
    TRAIN = "train"


QUEUE_OF = {"worker": Queue.DEFAULT, "generator": Queue.GENERATE, "trainer": Queue.TRAIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job may write what it may read only if it is in `writes`."""

    queue: Queue = Queue.DEFAULT
    reads: frozenset[Folder] = frozenset()
    writes: frozenset[Folder] = frozenset()


def _job(queue: Queue, reads: str = "", writes: str = "") -> Job:
    return Job(
        queue=queue,
        reads=frozenset(Folder[name] for name in reads.split()),
        writes=frozenset(Folder[name] for name in writes.split()),
    )


NO_FILES = _job(Queue.DEFAULT)
# The zero adapter is made, and adapters are copied to where replicas read them, by one role only.
SERVES = _job(Queue.DEFAULT, "ADAPTERS", "SERVED COPIES")
TRAINS = _job(Queue.TRAIN, "SNAPSHOTS ADAPTERS", "RUNS SCORES ADAPTERS COPIES MODELS")
WRITES = _job(Queue.GENERATE)

JOBS: Mapping[str, Job] = {
    "inference.check_replicas": SERVES,
    "inference.selftest_replica": _job(Queue.DEFAULT, "SERVED"),
    "inference.mend_replica": SERVES,
    "annotate.advance_rounds": NO_FILES,
    "annotate.generate_round": WRITES,
    "training.build_snapshot": _job(Queue.DEFAULT, "", "DRAFTS SNAPSHOTS"),
    "training.advance_snapshots": NO_FILES,
    "training.continue_rebuild": NO_FILES,
    "training.promote": SERVES,
    "training.advance_promotions": NO_FILES,
    "training.advance_runs": NO_FILES,
    "training.run_training": TRAINS,
    "training.tidy_runs": TRAINS,
    "training.serve_evaluation": SERVES,
    "training.answer_evaluation": WRITES,
    "training.judge_evaluation": TRAINS,
    "training.advance_evaluations": NO_FILES,
    "training.advance_step": NO_FILES,
    "training.serve_candidate": SERVES,
    "training.turn_loops": NO_FILES,
}
# What the web server hands out.
SITE = _job(Queue.DEFAULT, "SNAPSHOTS ADAPTERS")


def routes() -> dict[str, dict[str, str]]:
    """Celery's: those that do not go where jobs go without a word."""
    others = {name: job for name, job in JOBS.items() if job.queue != Queue.DEFAULT}
    return {name: {"queue": str(job.queue)} for name, job in others.items()}
