"""The Celery application; tasks are found in the installed apps."""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import after_setup_logger, after_setup_task_logger

from annotate.broker import survive_lost_connections
from annotate.logs import hide_in

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
survive_lost_connections()
app = Celery("prefloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@after_setup_logger.connect
@after_setup_task_logger.connect
def _hide_secrets(logger: logging.Logger, **_: Any) -> None:
    """Celery sets up handlers of its own."""
    hide_in(logger)
