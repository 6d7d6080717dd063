"""The Django application that turns rankings into snapshots, and later into models."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "Training"
