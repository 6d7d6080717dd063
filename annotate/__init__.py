"""Annotation: the Django project and everything that people do in it."""

from annotate.celery_app import app as celery_app

__all__ = ["celery_app"]
