"""Addresses below /api/ that belong to training."""

from django.urls import path

from training.api import (
    adapters,
    decisions,
    evaluations,
    leaderboard,
    lineage,
    loop,
    promotions,
    rollouts,
    runs,
    snapshot_files,
    snapshots,
)

_ADAPTER = "projects/<slug:slug>/adapters/<int:number>"
_EVALUATION = "projects/<slug:slug>/evaluations/<int:number>"
_RUN = "projects/<slug:slug>/runs/<int:number>"
_SNAPSHOT = "projects/<slug:slug>/snapshots/<int:number>"

urlpatterns = [
    path("decisions", decisions.DecisionsView.as_view()),
    path("projects/<slug:slug>/snapshots", snapshots.SnapshotsView.as_view()),
    path(_SNAPSHOT, snapshots.SnapshotView.as_view()),
    path(f"{_SNAPSHOT}/card", snapshot_files.SnapshotCardView.as_view()),
    path(f"{_SNAPSHOT}/files/<path:name>", snapshot_files.SnapshotFileView.as_view()),
    path(f"{_SNAPSHOT}/rows", snapshot_files.SnapshotRowsView.as_view()),
    path(f"{_SNAPSHOT}/download.zip", snapshot_files.SnapshotArchiveView.as_view()),
    path(f"{_SNAPSHOT}/<str:step>", snapshots.SnapshotActionView.as_view()),
    path("projects/<slug:slug>/runs", runs.RunsView.as_view()),
    path("projects/<slug:slug>/runs/estimate", runs.RunEstimateView.as_view()),
    path("projects/<slug:slug>/runs/options", runs.RunOptionsView.as_view()),
    path(_RUN, runs.RunView.as_view()),
    path(f"{_RUN}/metrics", runs.RunMetricsView.as_view()),
    path(f"{_RUN}/log", runs.RunLogView.as_view()),
    path(f"{_RUN}/rollouts", rollouts.RolloutsView.as_view()),
    path(f"{_RUN}/rollouts/kept", rollouts.KeptRolloutsView.as_view()),
    path(f"{_RUN}/rollouts/<int:rollout>", rollouts.RolloutView.as_view()),
    path(f"{_RUN}/<str:step>", runs.RunActionView.as_view()),
    path("projects/<slug:slug>/adapters", adapters.AdaptersView.as_view()),
    path(_ADAPTER, adapters.AdapterView.as_view()),
    path(f"{_ADAPTER}/card", adapters.AdapterCardView.as_view()),
    path(f"{_ADAPTER}/files/<path:name>", adapters.AdapterFileView.as_view()),
    path("projects/<slug:slug>/evaluations", evaluations.EvaluationsView.as_view()),
    path(_EVALUATION, evaluations.EvaluationView.as_view()),
    path(f"{_EVALUATION}/answers", evaluations.EvaluationAnswersView.as_view()),
    path(f"{_EVALUATION}/<str:step>", evaluations.EvaluationActionView.as_view()),
    path("projects/<slug:slug>/loop", loop.LoopView.as_view()),
    path("projects/<slug:slug>/loop/steps", loop.LoopStepsView.as_view()),
    path("projects/<slug:slug>/loop/steps/<int:number>", loop.LoopStepView.as_view()),
    path("projects/<slug:slug>/loop/<str:action>", loop.LoopActionView.as_view()),
    path("projects/<slug:slug>/promotions", promotions.PromotionsView.as_view()),
    path("projects/<slug:slug>/promotions/roll-back", promotions.RollBackView.as_view()),
    path("projects/<slug:slug>/serving", promotions.ServingView.as_view()),
    path("projects/<slug:slug>/leaderboard", leaderboard.LeaderboardView.as_view()),
    path("projects/<slug:slug>/lineage", lineage.LineageView.as_view()),
    path("projects/<slug:slug>/lineage/touched", lineage.TouchedView.as_view()),
    path("projects/<slug:slug>/lineage/rebuild", lineage.RebuildsView.as_view()),
    path("projects/<slug:slug>/retractions", lineage.RetractionsView.as_view()),
]
