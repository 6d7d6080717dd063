"""The Django application that holds people, rounds and rankings."""

from django.apps import AppConfig


class AnnotateConfig(AppConfig):
    name = "annotate"
    verbose_name = "Annotation"

    def ready(self) -> None:
        from annotate import checks  # noqa: F401  (registers the start-up checks)
