"""The Celery application; tasks are found in the installed apps."""

import os

from celery import Celery

from annotate.broker import survive_lost_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
survive_lost_connections()
app = Celery("prefloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
