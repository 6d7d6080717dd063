"""A task in a labeler's hands, as their browser gets it."""

from typing import Any

import orjson
from rest_framework import serializers

from annotate.api.projects import Judging
from annotate.api.shapes import Shape, ShownPrompt
from annotate.letters import LETTERS, alike_in_letters
from annotate.services.queue import HeldTask


class Response_(Shape):
    label = serializers.CharField()  # type: ignore[assignment]  # its own name
    text = serializers.CharField()
    cut_off = serializers.BooleanField(help_text="It reached the longest length allowed.")


def alike_letters() -> serializers.ListField:
    """A field with the letters of responses that are the same answer."""
    return serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Letters of responses that are the same answer: they are tied by themselves.",
    )


class DraftAt(Shape):
    version = serializers.IntegerField()
    writer = serializers.CharField()
    step = serializers.IntegerField()


class KeptText(Shape):
    id = serializers.IntegerField()
    saved_at = serializers.DateTimeField()
    body = serializers.DictField()


class ClaimShape(Shape):
    id = serializers.IntegerField()
    project = serializers.SlugField()
    round = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    lease_seconds = serializers.IntegerField()
    prompt = ShownPrompt()
    responses = Response_(many=True)
    alike = alike_letters()
    judging = Judging(
        help_text="As it was set when the task was claimed: the ranking is judged by it."
    )
    draft = serializers.DictField(allow_null=True)
    draft_at = DraftAt(allow_null=True, help_text="Which text `draft` is.")
    kept = KeptText(many=True, help_text="Texts made from older versions of the draft.")


def claim_shape(held: HeldTask) -> dict[str, Any]:
    """A claim as its labeler sees it: blind, in the order recorded for them."""
    return {
        "id": held.claim_id,
        "project": held.project,
        "round": held.round_number,
        "expires_at": held.expires_at,
        "lease_seconds": held.lease_seconds,
        "prompt": {
            "messages": orjson.Fragment(held.messages),
            "documents": orjson.Fragment(held.documents),
        },
        "responses": [
            {"label": label, "text": text, "cut_off": cut_off}
            for label, text, cut_off in zip(LETTERS, held.texts, held.cut_off, strict=False)
        ],
        "alike": alike_in_letters(held.written),
        "judging": orjson.Fragment(held.judging),
        "draft": None if held.draft is None else orjson.Fragment(held.draft),
        "draft_at": None
        if held.draft is None
        else {
            "version": held.draft_version,
            "writer": held.draft_writer,
            "step": held.draft_step,
        },
        "kept": [] if held.kept is None else orjson.Fragment(held.kept),
    }
