"""Shapes that several endpoints share."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from formats.echo import echo

NAMED = 20  # of unknown fields, at most so many are echoed


# Without a docstring: the schema would say it of every shape that has none of its own.
class Shape(serializers.Serializer[Any]):
    def to_internal_value(self, data: Any) -> Any:
        """Raises DRF's ValidationError, which names the fields that there are not."""
        if isinstance(data, Mapping):
            known = [str(field.field_name) for field in self._writable_fields]
            unknown = [key for key in data if key not in known][:NAMED]
            if unknown:
                message = f"There is no such field here. The fields are {', '.join(known)}."
                raise serializers.ValidationError({echo(key): [message] for key in unknown})
        return super().to_internal_value(data)


class ErrorBody(Shape):
    code = serializers.CharField()
    message = serializers.CharField(help_text="A sentence that says what to do.")
    retry = serializers.BooleanField(help_text="Whether the same request may succeed later.")
    fields = serializers.DictField(  # type: ignore[assignment]  # the name is the field's
        child=serializers.ListField(child=serializers.CharField())
    )
    ranking = serializers.IntegerField(
        required=False, help_text="`already_ranked`: the ranking that stands."
    )
    signed_in = serializers.CharField(
        required=False, help_text="`other_session`: who is signed in now."
    )
    version = serializers.CharField(
        required=False, help_text="`outdated`: of what somebody else saved meanwhile."
    )


class Failure(Shape):
    """Every answer from 400 on."""

    error = ErrorBody()


class Reason(Shape):
    code = serializers.ChoiceField(
        choices=[
            "waiting_for_completions",
            "all_claimed",
            "all_done",
            "no_round",
            "paused",
            "model_loading",
        ]
    )
    message = serializers.CharField()


class Message(Shape):
    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField()


class Document(Shape):
    title = serializers.CharField()
    text = serializers.CharField()


class ShownPrompt(Shape):
    messages = Message(many=True)
    documents = Document(many=True)


class ProjectName(Shape):
    slug = serializers.SlugField()
    name = serializers.CharField()


def page_of(name: str, row: type[Shape]) -> type[Shape]:
    """The shape of a page of rows."""
    return type(
        name,
        (Shape,),
        {
            "results": row(many=True),
            "next": serializers.CharField(allow_null=True),
            "__doc__": f"A page of {row.__name__}.",
        },
    )
