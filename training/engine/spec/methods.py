"""What each method adds to a spec."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.engine.spec.fields import TOKENS, Flag, Integer, Name, Number, Section
from training.engine.spec.ppo import FUNCTION

Beta = Annotated[
    Number,
    Field(
        ge=0,
        le=10,
        description="How strongly the policy is held to the reference: a large value keeps it "
        "close, a small one lets it move.",
    ),
]


class DPO(Section):
    """Direct Preference Optimization, on whole rankings."""

    beta: Beta = Field(default=0.1, gt=0)
    loss: Literal["sigmoid", "ipo", "plackett_luce"] = Field(
        default="sigmoid",
        description="sigmoid: every pair of a ranking (DPO paper, eq. 7). ipo: the squared loss of "
        "IPO, which does not run away on pairs without doubt. plackett_luce: the ranking as a "
        "whole (DPO paper, eq. 20).",
    )
    label_smoothing: Number = Field(
        default=0.0,
        ge=0,
        lt=0.5,
        description="The share of judgments taken to be wrong (conservative DPO); for sigmoid.",
    )
    sft_weight: Number = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Weight of an extra SFT loss on the best tier, which keeps the likelihood of "
        "what was chosen up (RPO); 0 leaves it out.",
    )
    reference_cache: Name | None = Field(
        default=None,
        description="A file in which runs on the same base share the reference's "
        "log-probabilities; absent, one in the run folder.",
    )

    @model_validator(mode="after")
    def _smoothing_belongs_to_sigmoid(self) -> Self:
        if self.label_smoothing and self.loss != "sigmoid":
            raise ValueError(
                f'label_smoothing has no meaning for loss "{self.loss}"; '
                'set it to 0, or loss to "sigmoid"'
            )
        return self


class Reward(Section):
    """A reward model: a scalar head, all pairs of a ranking (InstructGPT, eq. 1)."""

    margins: Flag = Field(
        default=True,
        description="Ask for a larger distance where a judgment is stronger (Llama 2, eq. 2: "
        "3, 2, 1).",
    )
    centering: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Weight of a term that pulls the rewards of a pair towards a sum of zero; "
        "0.01 is usual, 0 leaves it out.",
    )
    head_lr: Number | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Learning rate of the new head; absent, that of the optimizer.",
    )


class KTO(Section):
    """Kahneman-Tversky Optimization: single completions, desirable or not."""

    beta: Beta = Field(default=0.1, gt=0)
    labels: Literal["auto", "flags", "tiers"] = Field(
        default="auto",
        description="What of a ranking is undesirable. flags: what was marked unacceptable; "
        "everything else is desirable. tiers: the worst tier; the best one is desirable, and the "
        "tiers between say nothing. auto: flags where the data have any, tiers otherwise.",
    )
    desirable_weight: Number = Field(
        default=1.0, gt=0, le=100, description="Weight of the losses of desirable completions."
    )
    undesirable_weight: Number = Field(
        default=1.0, gt=0, le=100, description="Weight of the losses of undesirable completions."
    )


class Online(Section):
    """RLOO and GRPO: the policy answers prompts, and rewards say how well."""

    rewards: tuple[Name, ...] = Field(
        min_length=1,
        description="What rewards a completion: Python functions as package.module:function, or "
        "folders of reward adapters. Several are added up.",
    )
    generations: Integer = Field(
        default=4,
        ge=2,
        le=64,
        description="Completions for each prompt, compared with each other.",
    )
    max_new_tokens: Integer = Field(
        default=256,
        ge=1,
        le=32768,
        description="A completion is cut here.",
        json_schema_extra=TOKENS,
    )
    temperature: Number = Field(
        default=1.0, gt=0, le=2, description="Of sampling; 1 samples from the policy as it is."
    )
    beta: Beta = 0.05

    def functions(self) -> tuple[str, ...]:
        """The rewards that are Python functions; the others are folders of adapters."""
        return tuple(reward for reward in self.rewards if FUNCTION.fullmatch(reward))
