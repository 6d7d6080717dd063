"""Shapes of the loop.

Those of the settings only tell what training.loop.policy reads and checks; a test holds the two
together.
"""

from rest_framework import serializers

from annotate.api.shapes import Shape, page_of
from annotate.models import Stale
from training.api.standing import StandingShape
from training.engine.spec import Method
from training.models import Stage, StepState
from training.services.loop.stages import KINDS
from training.snapshots.spec import Aggregation, Weight


class LoopTrigger(Shape):
    comparisons = serializers.IntegerField(allow_null=True)
    hours = serializers.FloatField(allow_null=True)


class LoopSnapshot(Shape):
    minimum_overlap = serializers.IntegerField()
    flagged = serializers.BooleanField()
    aggregation = serializers.ChoiceField(choices=[str(each) for each in Aggregation])
    weight = serializers.ChoiceField(choices=[str(each) for each in Weight])


class LoopRun(Shape):
    method = serializers.ChoiceField(choices=[str(each) for each in Method])
    preset = serializers.CharField(allow_blank=True)
    values = serializers.DictField()
    start_from = serializers.ChoiceField(choices=["base", "current"])


class LoopJudge(Shape):
    train = serializers.BooleanField()
    preset = serializers.CharField(allow_blank=True)
    values = serializers.DictField()


class LoopEvaluation(Shape):
    prompts = serializers.IntegerField()
    temperature = serializers.FloatField()
    top_p = serializers.FloatField()
    max_tokens = serializers.IntegerField()


class LoopGate(Shape):
    min_win_rate = serializers.FloatField(allow_null=True)
    min_win_rate_low = serializers.FloatField(allow_null=True)
    min_accuracy = serializers.FloatField(allow_null=True)
    max_kl = serializers.FloatField(allow_null=True)
    max_forgetting = serializers.FloatField(allow_null=True)
    max_length_ratio = serializers.FloatField(allow_null=True)
    max_left_out = serializers.FloatField(allow_null=True)


class LoopHumans(Shape):
    rankings = serializers.IntegerField()
    min_win_rate = serializers.FloatField()


class LoopNextRound(Shape):
    prompts = serializers.ChoiceField(choices=["same", "fresh"])
    sample = serializers.IntegerField(allow_null=True)
    k = serializers.IntegerField()
    overlap = serializers.IntegerField()
    temperature = serializers.FloatField()
    top_p = serializers.FloatField()
    max_tokens = serializers.IntegerField()


class LoopSettingsShape(Shape):
    trigger = LoopTrigger()
    snapshot = LoopSnapshot()
    run = LoopRun()
    judge = LoopJudge()
    evaluation = LoopEvaluation()
    gate = LoopGate()
    promotion = serializers.ChoiceField(choices=["automatic", "ask"])
    humans = LoopHumans(allow_null=True)
    stale = serializers.ChoiceField(choices=Stale.choices)
    next_round = LoopNextRound(allow_null=True)


class LoopPolicyBody(Shape):
    settings = LoopSettingsShape(help_text="The whole; what is left out has its default.")
    active = serializers.BooleanField(default=False)
    base = serializers.CharField(
        required=False,
        max_length=16,
        help_text="The version that was edited; not given: the newest. Another one is refused.",
    )


class LoopNext(Shape):
    comparisons = serializers.IntegerField(help_text="New ones since the last step's snapshot.")
    needed = serializers.IntegerField(allow_null=True, help_text="Null: not a trigger.")
    due_at = serializers.DateTimeField(allow_null=True)
    text = serializers.CharField()


class LoopStepRow(Shape):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=StepState.choices)
    stage = serializers.ChoiceField(choices=Stage.choices)
    cause = serializers.CharField()
    waiting_for = serializers.CharField()
    message = serializers.CharField(help_text="How it ended.")
    promoted = serializers.BooleanField(allow_null=True, help_text="Null: not decided yet.")
    asks = serializers.BooleanField(help_text="An admin is to approve or reject the candidate.")
    snapshot = serializers.IntegerField(allow_null=True)
    judge_run = serializers.IntegerField(allow_null=True)
    judge = serializers.IntegerField(allow_null=True, help_text="Adapter.")
    run = serializers.IntegerField(allow_null=True)
    candidate = serializers.IntegerField(allow_null=True, help_text="Adapter.")
    candidate_standing = StandingShape(allow_null=True)
    evaluation = serializers.IntegerField(allow_null=True)
    ab_round = serializers.IntegerField(allow_null=True)
    promotion = serializers.IntegerField(allow_null=True)
    round = serializers.IntegerField(allow_null=True)
    created_by = serializers.CharField(allow_null=True, help_text="Null: the policy.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class LoopOverview(Shape):
    settings = LoopSettingsShape()
    active = serializers.BooleanField()
    version = serializers.CharField(help_text="Of the policy, before one is saved too.")
    owner = serializers.CharField(allow_null=True, help_text="For whom it acts; null: not saved.")
    changed_at = serializers.DateTimeField(allow_null=True)
    problem = serializers.CharField(help_text="Why the saved settings cannot be read any more.")
    next = LoopNext()
    step = LoopStepRow(allow_null=True, help_text="The unfinished one, or else the last.")


class LoopEventShape(Shape):
    position = serializers.IntegerField()
    stage = serializers.ChoiceField(choices=Stage.choices)
    text = serializers.CharField()
    at = serializers.DateTimeField()


class LoopStretch(Shape):
    stage = serializers.ChoiceField(choices=Stage.choices)
    began_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField()
    text = serializers.CharField(help_text="What came of it, or what it waits for.")


class LoopVerdict(Shape):
    name = serializers.CharField()
    passed = serializers.BooleanField()
    text = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    bound = serializers.FloatField()


class LoopComparing(Shape):
    wins = serializers.IntegerField()
    ties = serializers.IntegerField()
    losses = serializers.IntegerField()
    rankings = serializers.IntegerField()
    limit = serializers.IntegerField()
    win_rate = serializers.FloatField(allow_null=True, help_text="A tie is half a win.")
    min_win_rate = serializers.FloatField()
    low = serializers.FloatField(help_text="95%, of the share of decided rankings that it wins.")
    high = serializers.FloatField()
    method = serializers.CharField()
    passed = serializers.BooleanField(allow_null=True, help_text="Null: not decided yet.")
    text = serializers.CharField()


class LoopMade(Shape):
    kind = serializers.ChoiceField(choices=KINDS)
    number = serializers.IntegerField()


class LoopFlowStage(Shape):
    stage = serializers.ChoiceField(choices=Stage.choices)
    wanted = serializers.BooleanField(help_text="The step's policy has this stage.")
    made = LoopMade(many=True)


class LoopStepDetail(LoopStepRow):
    settings = LoopSettingsShape()
    flow = LoopFlowStage(many=True, help_text="All stages, in the order of a step.")
    incumbent = serializers.IntegerField(allow_null=True, help_text="Adapter; null: the base.")
    events = LoopEventShape(many=True)
    stages = LoopStretch(many=True)
    verdicts = LoopVerdict(many=True)
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="All that speaks against its evaluation."
    )
    ab = LoopComparing(allow_null=True)


LoopStepPage = page_of("LoopStepPage", LoopStepRow)
