"""Addresses below /api/."""

from django.urls import path

from annotate.api import (
    browsing,
    drafts,
    exports,
    labeling,
    projects,
    prompts,
    rounds,
    session,
    system,
    taking_back,
)

urlpatterns = [
    path("session", session.SessionView.as_view()),
    path("tokens", session.TokensView.as_view()),
    path("tokens/<str:key>", session.TokenView.as_view()),
    path("health", system.HealthView.as_view()),
    path("inference", system.InferenceView.as_view()),
    path("schema", system.SchemaView.as_view()),
    # labeling
    path("queues", labeling.QueuesView.as_view()),
    path("projects/<slug:slug>/claims", labeling.ClaimsView.as_view()),
    path("claims/<int:claim_id>/renew", labeling.RenewView.as_view()),
    path("claims/<int:claim_id>/release", labeling.ReleaseView.as_view()),
    path("claims/<int:claim_id>", drafts.ClaimView.as_view()),
    path("claims/<int:claim_id>/draft", drafts.DraftView.as_view()),
    path("claims/<int:claim_id>/kept/<int:kept_id>", drafts.KeptView.as_view()),
    path("claims/<int:claim_id>/ranking", labeling.RankingView.as_view()),
    path("claims/<int:claim_id>/skip", labeling.SkipView.as_view()),
    path("claims/<int:claim_id>/flag", labeling.FlagView.as_view()),
    path("claims/<int:claim_id>/undo", taking_back.TakeBackView.as_view()),
    path("rankings/mine", browsing.MyRankingsView.as_view()),
    path("rankings/<int:ranking_id>", browsing.RankingDetailView.as_view()),
    path("rankings/<int:ranking_id>/undo", labeling.UndoView.as_view()),
    path("rankings/<int:ranking_id>/revisions", labeling.RevisionsView.as_view()),
    # running a project
    path("projects", projects.ProjectsView.as_view()),
    path("projects/<slug:slug>", projects.ProjectDetailView.as_view()),
    path("projects/<slug:slug>/members", projects.MembersView.as_view()),
    path("projects/<slug:slug>/members/<int:member_id>", projects.MemberView.as_view()),
    path("projects/<slug:slug>/audit", projects.AuditView.as_view()),
    path("projects/<slug:slug>/prompts", prompts.PromptsView.as_view()),
    path("projects/<slug:slug>/prompts/import", prompts.ImportView.as_view()),
    path("projects/<slug:slug>/prompts/<int:prompt_id>", prompts.PromptView.as_view()),
    path("projects/<slug:slug>/models", rounds.ModelsView.as_view()),
    path("projects/<slug:slug>/rounds", rounds.RoundsView.as_view()),
    path("projects/<slug:slug>/rounds/estimate", rounds.EstimateView.as_view()),
    path("projects/<slug:slug>/rounds/<int:number>", rounds.RoundView.as_view()),
    path("projects/<slug:slug>/rounds/<int:number>/<str:action>", rounds.RoundActionView.as_view()),
    # reading the data
    path("projects/<slug:slug>/rankings", browsing.RankingsView.as_view()),
    path("projects/<slug:slug>/comparisons", browsing.ComparisonsView.as_view()),
    path("projects/<slug:slug>/export/<str:what>.<str:kind>", exports.ExportView.as_view()),
]
