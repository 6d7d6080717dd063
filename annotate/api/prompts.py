"""Prompts: browse and import."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import unknown_fields
from annotate.api.paging import page
from annotate.api.rendering import JSONParser
from annotate.api.shapes import Document, Message, Shape, page_of
from annotate.api.views import ProjectView, body_of, user_of
from annotate.errors import Invalid
from annotate.exchange.prompts import Format, Problem
from annotate.models import Prompt, Split
from annotate.queries.access import MANAGE, REVIEW
from annotate.queries.prompts import PromptFilter, matching, one
from annotate.services import prompts

FORM = ("file", "format", "refuse_control_tokens")
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_TEXT_BYTES = 16 * 1024 * 1024


class PromptRow(Shape):
    id = serializers.IntegerField()
    external_id = serializers.CharField()
    excerpt = serializers.CharField()
    turns = serializers.IntegerField()
    tags = serializers.ListField(child=serializers.CharField())
    split = serializers.ChoiceField(choices=Split.choices)
    created_at = serializers.DateTimeField()


class PromptDetail(PromptRow):
    messages = Message(many=True)
    documents = Document(many=True)
    content_hash = serializers.CharField()


PromptPage = page_of("PromptPage", PromptRow)


class PromptsText(Shape):
    text = serializers.CharField(trim_whitespace=False)
    format = serializers.ChoiceField(choices=["jsonl", "csv"])
    refuse_control_tokens = serializers.BooleanField(
        default=False,
        help_text="Refuse prompts with control tokens of models, as <|im_end|>. Kept, they are "
        "reported, and models read them as plain text.",
    )


class ImportProblem(Shape):
    line = serializers.IntegerField()
    reason = serializers.CharField()
    excerpt = serializers.CharField()


class UnreadColumn(Shape):
    column = serializers.CharField()
    count = serializers.IntegerField()


class ImportReportShape(Shape):
    imported = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    refused = serializers.IntegerField()
    problems = ImportProblem(many=True)
    more_problems = serializers.IntegerField()
    unread_columns = UnreadColumn(many=True)
    with_control_tokens = serializers.IntegerField()
    control_tokens = ImportProblem(many=True)


class PromptsView(ProjectView):
    @extend_schema(
        parameters=[
            OpenApiParameter("search", str),
            OpenApiParameter("tag", str),
            OpenApiParameter("split", str, enum=Split.values),
            OpenApiParameter("cursor", str),
            OpenApiParameter("limit", int),
        ],
        responses=PromptPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """The project's prompts, newest first."""
        access = self.access(request, slug, REVIEW)
        query = request.query_params
        chosen = PromptFilter(
            tag=query.get("tag") or None,
            search=query.get("search", ""),
            split=query.get("split") or None,
        )
        return Response(page(request, matching(access.project.pk, chosen), prompt_row))


class PromptView(ProjectView):
    @extend_schema(responses=PromptDetail)
    def get(self, request: Request, slug: str, prompt_id: int) -> Response:
        """One prompt, whole."""
        access = self.access(request, slug, REVIEW)
        prompt = one(access.project.pk, prompt_id)
        return Response(
            {
                **prompt_row(prompt),
                "messages": prompt.messages,
                "documents": prompt.documents,
                "content_hash": prompt.content_hash,
            }
        )


class ImportView(ProjectView):
    parser_classes = (MultiPartParser, JSONParser)
    largest_json = MAX_TEXT_BYTES

    @extend_schema(request=PromptsText, responses=ImportReportShape)
    def post(self, request: Request, slug: str) -> Response:
        """Import prompts: {text, format} of 16 MB at most, or a form with `file` (256 MB)."""
        access = self.access(request, slug, MANAGE)
        file = request.FILES.get("file")
        if file is not None:
            source: Any = file
            if file.size and file.size > MAX_FILE_BYTES:
                raise Invalid("The file is over 256 MB. Split it and import the parts.")
            if unknown := [name for name in request.data if name not in FORM]:
                raise unknown_fields(unknown, FORM)
            format_ = _format_of(file.name or "", str(request.data.get("format") or ""))
            refuse = request.data.get("refuse_control_tokens") == "true"
        else:
            body = body_of(PromptsText, request)
            source, format_ = body["text"], body["format"]
            refuse = body["refuse_control_tokens"]
        report = prompts.import_prompts(
            project_id=access.project.pk,
            actor_id=user_of(request).pk,
            source=source,
            format=format_,
            refuse_control_tokens=refuse,
        )
        return Response(
            {
                "imported": report.imported,
                "duplicates": report.duplicates,
                "refused": report.refused,
                "problems": [_problem_row(each) for each in report.problems],
                "more_problems": report.more_problems,
                "unread_columns": [
                    {"column": name, "count": count} for name, count in report.unread.most_common()
                ],
                "with_control_tokens": report.with_control_tokens,
                "control_tokens": [_problem_row(each) for each in report.control_tokens],
            }
        )


def _problem_row(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "reason": problem.reason, "excerpt": problem.excerpt}


def _format_of(name: str, said: str) -> Format:
    ending = (said or name.rsplit(".", 1)[-1]).lower()
    if ending in ("jsonl", "ndjson", "json"):
        return "jsonl"
    if ending == "csv":
        return "csv"
    message = "Name the file .jsonl or .csv, so that it is clear how to read it."
    raise Invalid(message, code="unknown_format", fields={"file": [message]})


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    return {
        "id": prompt.pk,
        "external_id": prompt.external_id,
        "excerpt": prompt.excerpt,
        "turns": prompt.turns,
        "tags": prompt.tags,
        "split": prompt.split,
        "created_at": prompt.created_at,
    }
