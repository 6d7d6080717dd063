"""Evaluations: create, watch, cancel, read."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.paging import PAGING, page
from annotate.api.shapes import Document, Message, Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.errors import NotFound
from annotate.queries.access import MANAGE, READ_DATA
from formats.bounds import EVALUATED_PROMPTS, MAX_TOKENS, TEMPERATURE, TOP_P
from training.evaluation.settings import EvaluationSettings
from training.models import Evaluation, EvaluationState
from training.queries import evaluations as reads
from training.queries.named import adapter_id
from training.services import evaluations

OUTCOMES = ["win", "tie", "loss"]


class EvaluationSettingsShape(Shape):
    prompts = serializers.IntegerField(
        default=64, min_value=EVALUATED_PROMPTS.least, max_value=EVALUATED_PROMPTS.most
    )
    temperature = serializers.FloatField(
        default=0.7, min_value=TEMPERATURE.least, max_value=TEMPERATURE.most
    )
    top_p = serializers.FloatField(default=0.95, min_value=TOP_P.least, max_value=TOP_P.most)
    max_tokens = serializers.IntegerField(
        default=128, min_value=MAX_TOKENS.least, max_value=MAX_TOKENS.most
    )


class NewEvaluation(Shape):
    candidate = serializers.IntegerField(min_value=1, help_text="An adapter's number.")
    incumbent = serializers.IntegerField(
        min_value=1,
        allow_null=True,
        required=False,
        help_text="Null: the base itself. Absent: the project's model as it is now.",
    )
    judge = serializers.IntegerField(
        min_value=1,
        allow_null=True,
        required=False,
        help_text="A reward adapter. Null: no win rate. Absent: the one that fits best.",
    )
    settings = EvaluationSettingsShape(required=False)


class MeasuredValue(Shape):
    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    count = serializers.FloatField()
    clusters = serializers.IntegerField()
    method = serializers.CharField(allow_null=True)


class ForgettingValue(MeasuredValue):
    ratio = serializers.FloatField(allow_null=True, help_text="Perplexity over the base's.")
    on = serializers.ChoiceField(choices=["general_text", "demonstrations"])


class WinRateShape(Shape):
    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    wins = serializers.IntegerField()
    ties = serializers.IntegerField()
    losses = serializers.IntegerField()
    prompts = serializers.IntegerField()
    method = serializers.CharField()


class JudgeShape(Shape):
    adapter = serializers.IntegerField()
    accuracy = MeasuredValue(allow_null=True)


class BothSides(Shape):
    candidate = serializers.FloatField()
    incumbent = serializers.FloatField()


class LengthShape(BothSides):
    ratio = serializers.FloatField(allow_null=True)


class LeftOutOfData(Shape):
    left_out = serializers.FloatField(help_text="Share of the answers that the run holds none of.")


class ReportShape(Shape):
    measured = serializers.DictField(
        allow_null=True, help_text="The engine's evaluation.json of the candidate's run."
    )
    win_rate = WinRateShape(allow_null=True)
    judge = JudgeShape(allow_null=True)
    length = LengthShape(allow_null=True, help_text="Mean tokens of an answer.")
    rewards = BothSides(allow_null=True, help_text="Mean rewards by the judge.")
    cut_off = BothSides(allow_null=True, help_text="Share of answers that were cut off.")
    accuracy = MeasuredValue(allow_null=True)
    kl = MeasuredValue(allow_null=True, help_text="Nats a token.")
    forgetting = ForgettingValue(allow_null=True, help_text="Nats a token.")
    data = LeftOutOfData(  # type: ignore[assignment]  # the name is the field's
        allow_null=True, required=False, help_text="Absent in reports of earlier versions."
    )
    prompts = serializers.IntegerField(help_text="Answered by both sides.")
    left_out = serializers.IntegerField(help_text="Prompts that a model could not answer.")
    notes = serializers.ListField(child=serializers.CharField())
    missing = serializers.DictField(
        child=serializers.CharField(), help_text="Why a part is null, by its name."
    )


class VerdictShape(Shape):
    name = serializers.CharField()
    passed = serializers.BooleanField()
    text = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    bound = serializers.FloatField()


class EvaluationRow(Shape):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=EvaluationState.choices)
    message = serializers.CharField()
    candidate = serializers.IntegerField()
    incumbent = serializers.IntegerField(allow_null=True, help_text="Null: the base itself.")
    judge = serializers.IntegerField(allow_null=True)
    snapshot = serializers.IntegerField()
    base = serializers.CharField()
    prompts = serializers.IntegerField(help_text="How many each side answers; 0: not known yet.")
    answered = serializers.IntegerField(help_text="Answers of both sides so far.")
    judged = serializers.IntegerField(help_text="Answers that have a reward.")
    win_rate = WinRateShape(allow_null=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class EvaluationDetail(EvaluationRow):
    settings = EvaluationSettingsShape()
    report = ReportShape(allow_null=True)
    verdicts = VerdictShape(many=True, help_text="By the gate of the project's loop policy.")
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="All that speaks against relying on it."
    )


class EvaluatedPrompt(Shape):
    id = serializers.IntegerField()
    messages = Message(many=True)
    documents = Document(many=True)


class SideAnswer(Shape):
    text = serializers.CharField()
    tokens = serializers.IntegerField()
    finish_reason = serializers.CharField(
        help_text="stop, length, or refused: `text` then says why there is no answer."
    )
    adapter_hash = serializers.CharField(help_text="Of the adapter that answered; empty: the base.")
    reward = serializers.FloatField(allow_null=True)


class AnswerRow(Shape):
    prompt = EvaluatedPrompt()
    candidate = SideAnswer()
    incumbent = SideAnswer(allow_null=True)
    outcome = serializers.ChoiceField(choices=OUTCOMES, allow_null=True)


EvaluationPage = page_of("EvaluationPage", EvaluationRow)
AnswerPage = page_of("EvaluationAnswerPage", AnswerRow)


class EvaluationsView(ProjectView):
    @extend_schema(parameters=PAGING, responses=EvaluationPage)
    def get(self, request: Request, slug: str) -> Response:
        """The project's evaluations, newest first."""
        access = self.access(request, slug, READ_DATA)
        return Response(page(request, reads.of_project(access.project.pk), reads.row))

    @extend_schema(request=NewEvaluation, responses={201: EvaluationDetail})
    def post(self, request: Request, slug: str) -> Response:
        """Compare an adapter with the incumbent on held-out prompts; jobs carry it out."""
        access = self.access(request, slug, MANAGE)
        body = body_of(NewEvaluation, request)
        project_id = access.project.pk
        chosen: dict[str, Any] = {
            f"{name}_id": adapter_id(project_id, body[name], name)
            for name in ("candidate", "incumbent", "judge")
            if name in body
        }
        evaluation = evaluations.create_evaluation(
            project_id=project_id,
            actor_id=user_of(request).pk,
            settings=EvaluationSettings(**body.get("settings", {})),
            **chosen,
        )
        return Response(reads.detail(evaluation), status=201)


class EvaluationView(ProjectView):
    @extend_schema(responses=EvaluationDetail)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """How far an evaluation is, its report, and what the gate says to it."""
        access = self.access(request, slug, READ_DATA)
        return Response(reads.detail(reads.one(access.project.pk, number)))


_ACTIONS: dict[str, Callable[..., Evaluation]] = {
    "cancel": evaluations.cancel_evaluation,
    "retry": evaluations.retry_evaluation,
}


class EvaluationActionView(ProjectView):
    @extend_schema(
        request=None,
        responses=EvaluationDetail,
        parameters=[OpenApiParameter("step", str, OpenApiParameter.PATH, enum=sorted(_ACTIONS))],
    )
    def post(self, request: Request, slug: str, number: int, step: str) -> Response:
        """Cancel an evaluation that is under way, or go on with one that failed."""
        access = self.access(request, slug, MANAGE)
        verb = _ACTIONS.get(step)
        if verb is None:
            raise NotFound
        evaluation = reads.one(access.project.pk, number)
        verb(evaluation_id=evaluation.pk, actor_id=user_of(request).pk)
        return Response(reads.detail(reads.one(access.project.pk, number)))


class EvaluationAnswersView(ProjectView):
    @extend_schema(parameters=PAGING, responses=AnswerPage)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """What both sides answered, prompt by prompt."""
        access = self.access(request, slug, READ_DATA)
        evaluation = reads.one(access.project.pk, number)
        return Response(page(request, reads.answers(evaluation), reads.answer_row))
