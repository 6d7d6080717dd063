"""What an adapter is to its project, in the same shape wherever one is named."""

from rest_framework import serializers

from annotate.api.shapes import Shape
from training.models import Standing


class StandingShape(Shape):
    """Exactly one state holds at a time."""

    state = serializers.ChoiceField(choices=Standing.choices)
    replicas = serializers.IntegerField(help_text="How many answer by it now; 0: not served.")
