"""What is left of runs on the disk: training.runs.folder says what stays and how long."""

import logging
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from training.models import RunState, TrainingRun
from training.runs.folder import RunFiles

log = logging.getLogger(__name__)


def folder_of(run: TrainingRun) -> RunFiles:
    """Where the run lies on a machine that trains."""
    return RunFiles(Path(settings.TRAINING_RUNS) / str(run.pk))


def tidy_runs() -> None:
    """Remove checkpoints of runs that ended badly long ago; of finished ones, what a crash left."""
    here = Path(settings.TRAINING_RUNS)
    if not here.is_dir():
        return
    ids = [int(path.name) for path in here.iterdir() if path.name.isdigit()]
    long_ago = timezone.now() - timedelta(days=settings.TRAINING_KEEP_DAYS)
    ended = TrainingRun.objects.filter(pk__in=ids)
    over = ended.filter(state=RunState.FINISHED) | ended.filter(
        state__in=(RunState.FAILED, RunState.CANCELED), finished_at__lt=long_ago
    )
    for run in over:
        tidy(run)


def tidy(run: TrainingRun) -> None:
    """Remove what the run needs only to go on; a disk that refuses is not the run's fault."""
    folder = folder_of(run)
    if not folder.root.is_dir() or folder.is_held():
        return
    try:
        folder.tidy()
    except OSError:
        log.exception("%s cannot be tidied", folder.root)
