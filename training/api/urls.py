"""Addresses below /api/ that belong to training."""

from django.urls import path

from training.api import snapshots

_SNAPSHOT = "projects/<slug:slug>/snapshots/<int:number>"

urlpatterns = [
    path("projects/<slug:slug>/snapshots", snapshots.SnapshotsView.as_view()),
    path(_SNAPSHOT, snapshots.SnapshotView.as_view()),
    path(f"{_SNAPSHOT}/card", snapshots.SnapshotCardView.as_view()),
    path(f"{_SNAPSHOT}/files/<path:name>", snapshots.SnapshotFileView.as_view()),
    path(f"{_SNAPSHOT}/<str:step>", snapshots.SnapshotActionView.as_view()),
]
