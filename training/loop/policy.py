"""What one turn of the loop does, and what sets it off: frozen, refused where it cannot be."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from formats.bounds import AB_RANKINGS, MAX_TOKENS, OVERLAP, TEMPERATURE, TOP_P, K
from training.engine.presets import PRESETS
from training.engine.spec import Method
from training.engine.spec.fields import Flag, Integer, Number, Section
from training.engine.spec.words import problems
from training.evaluation.gate import Gate
from training.evaluation.settings import EvaluationSettings
from training.snapshots.spec import Aggregation, Weight

OWN_SECTIONS = frozenset({"method", "parent"})

Share = Annotated[Number, Field(ge=0, le=1)]
Values = dict[str, Any]


class Trigger(Section):
    """What begins a turn by itself; whichever comes first. Neither: by hand only."""

    comparisons: Integer | None = Field(
        default=500,
        ge=1,
        le=10_000_000,
        description="New comparisons since the last turn's snapshot.",
    )
    hours: Number | None = Field(
        default=None,
        gt=0,
        le=8760,
        description="Hours since the last turn began; nothing begins without a new comparison.",
    )


class Choice(Section):
    """What the turn's snapshot holds of the project's rankings."""

    minimum_overlap: Integer = Field(
        default=1, ge=OVERLAP.least, le=OVERLAP.most, description="Rankings that a task must have."
    )
    flagged: Flag = Field(default=False, description="Keep tasks that somebody flagged.")
    aggregation: Aggregation = Field(
        default=Aggregation.EVERY,
        description="What becomes of several labelers' rankings of a task.",
    )
    weight: Weight = Field(
        default=Weight.RANKING, description="What counts 1 in training: a ranking or a task."
    )


class Recipe(Section):
    """A preset of the engine, and what differs from it."""

    preset: str = Field(default="135m-cpu", description="Starting point; empty: none.")
    values: Values = Field(
        default={}, description="What differs from the preset, by section of the run's spec."
    )

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name and name not in PRESETS:
            raise ValueError(f'there is no preset "{name}"; there are {", ".join(PRESETS)}')
        return name

    @field_validator("values")
    @classmethod
    def _only_what_is_open(cls, values: Values) -> Values:
        if decided := sorted(OWN_SECTIONS & values.keys()):
            raise ValueError(
                f"{decided[0]} is decided by the other fields of the policy; leave it out here"
            )
        return values


class RunPart(Recipe):
    """How the candidate is trained."""

    method: Method = Field(default=Method.DPO, description="How it learns.")
    start_from: Literal["base", "current"] = Field(
        default="base",
        description="base: each turn learns everything anew. current: it goes on from the adapter "
        "that is the project's model.",
    )

    @field_validator("method")
    @classmethod
    def _writes_answers(cls, method: Method) -> Method:
        if not method.facts.writes:
            raise ValueError(
                "a reward model writes no answers and cannot be promoted; choose dpo, or another "
                "method that does"
            )
        return method


class JudgePart(Recipe):
    """The reward model that judges the answers of candidate and incumbent."""

    train: Flag = Field(
        default=True,
        description="Train one on the same snapshot; else the newest one judges, if there is any.",
    )


class Humans(Section):
    """A blind A/B round of the candidate against the incumbent, before it is promoted."""

    rankings: Integer = Field(
        default=50,
        ge=AB_RANKINGS.least,
        le=AB_RANKINGS.most,
        description="It ends after so many, if not decided before.",
    )
    min_win_rate: Share = Field(
        default=0.5, description="Share that the candidate must win, a tie being half a win."
    )


class NextRound(Section):
    """The round that a turn ends with, written by the model as it then is."""

    prompts: Literal["same", "fresh"] = Field(
        default="fresh",
        description="same: those of the last round. fresh: those that were never in a round.",
    )
    sample: Integer | None = Field(
        default=50, ge=1, le=200_000, description="How many at most; absent, all of them."
    )
    k: Integer = Field(default=4, ge=K.least, le=K.most, description="Completions of each prompt.")
    overlap: Integer = Field(
        default=1, ge=OVERLAP.least, le=OVERLAP.most, description="Rankings of each task."
    )
    temperature: Number = Field(
        default=0.8,
        gt=0,
        le=TEMPERATURE.most,
        description="At 0 all completions of a prompt would be the same.",
    )
    top_p: Number = Field(
        default=0.95,
        ge=TOP_P.least,
        le=TOP_P.most,
        description="Share of the likeliest tokens that are drawn from.",
    )
    max_tokens: Integer = Field(
        default=256,
        ge=MAX_TOKENS.least,
        le=MAX_TOKENS.most,
        description="Completions are cut off here.",
    )


class LoopSettings(Section):
    """One turn: snapshot, judge, run, evaluation, gate, people, promotion, next round."""

    trigger: Trigger = Trigger()
    snapshot: Choice = Choice()
    run: RunPart = RunPart()
    judge: JudgePart = JudgePart()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: Gate = Gate(min_win_rate=0.5, max_length_ratio=2.0)
    promotion: Literal["automatic", "ask"] = Field(
        default="ask", description="What happens to a candidate that passed."
    )
    humans: Humans | None = Field(default=None, description="Absent: no A/B round.")
    stale: Literal["keep", "mark", "regenerate"] = Field(
        default="keep",
        description="What becomes of open tasks that the replaced model wrote: they stay, are "
        "marked, or are written anew.",
    )
    next_round: NextRound | None = Field(default=NextRound(), description="Absent: none.")

    @property
    def wants_win_rate(self) -> bool:
        """Whether the gate cannot be passed without a judge."""
        return self.gate.min_win_rate is not None or self.gate.min_win_rate_low is not None

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.promotion == "automatic" and not self.humans and not self._has_gate():
            raise ValueError(
                "promotion is automatic, and nothing is asked of a candidate; set a threshold of "
                'the gate, an A/B round (humans), or promotion to "ask"'
            )
        return self

    def _has_gate(self) -> bool:
        return any(bound is not None for bound in self.gate.model_dump().values())

    def as_json(self) -> dict[str, Any]:
        """As it is stored; `read` gives it back."""
        return self.model_dump(mode="json")


class PolicyError(Exception):
    """What is wrong with settings: by field, as gate.max_kl ("": the whole), in words."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {texts[0]}" for name, texts in fields.items()))
        self.fields = fields


def read(values: Any) -> LoopSettings:
    """values: settings as decoded JSON. Raises PolicyError."""
    try:
        return LoopSettings.model_validate(values)
    except ValidationError as problem:
        fields: dict[str, list[str]] = {}
        for name, what in problems(problem, LoopSettings):
            fields.setdefault(name, []).append(what)
        raise PolicyError(fields) from problem
