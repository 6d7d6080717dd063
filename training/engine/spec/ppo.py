"""What PPO adds to a spec."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from training.engine.spec.fields import TOKENS, Flag, Integer, Name, Number, Section

FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SERVER = re.compile(r"https?://[^\s/]+(/\S*)?")

Clip = Annotated[Number, Field(gt=0, le=10)]


class PPO(Section):
    """PPO: the policy answers prompts, rewards say how well, a critic says how well to expect."""

    rewards: tuple[Name, ...] = Field(
        min_length=1,
        description="What rewards an answer: folders of reward adapters, or Python functions as "
        "package.module:function. Several are added up.",
    )
    reward_weights: tuple[Annotated[Number, Field(ge=-1000, le=1000)], ...] = Field(
        default=(), description="A factor for each of the rewards; absent, 1 for each."
    )
    reward_base: Name | None = Field(
        default=None,
        description="The base of the reward adapters where it is another one than base.model; it "
        "is loaded beside it, which takes its memory.",
    )
    baseline: Literal["critic", "rloo"] = Field(
        default="critic",
        description="What an answer is compared with. critic: what a critic expects, token by "
        "token. rloo: the other answers to its prompt; it needs no critic.",
    )
    samples: Integer = Field(
        default=1, ge=1, le=64, description="Answers to each prompt; its encoding is shared."
    )
    max_new_tokens: Integer = Field(
        default=256, ge=1, le=32768, description="An answer is cut here.", json_schema_extra=TOKENS
    )
    temperature: Number = Field(
        default=1.0, gt=0, le=2, description="Of sampling; the losses see the same one."
    )
    missing_end_penalty: Number = Field(
        default=1.0,
        ge=0,
        le=100,
        description="What an answer that was cut off loses of its scaled reward.",
    )
    normalize_rewards: Flag = Field(
        default=True,
        description="Scale rewards so that the answers of the reference have mean 0 and deviation "
        "1; measured once, before the first step.",
    )
    reward_clip: Clip | None = Field(
        default=5.0, description="Scaled rewards beyond this are cut to it; absent, none is."
    )
    kl_coef: Number = Field(
        default=0.05,
        ge=0,
        le=10,
        description="What a nat of divergence from the reference costs, token by token.",
    )
    kl_estimator: Literal["k1", "k3"] = Field(
        default="k1",
        description="How the divergence is measured, for the metrics, kl_target and kl_bound. k1: "
        "the difference of log-probabilities. k3: never negative, less noisy (Schulman 2020). "
        "What a token pays is k1 whichever is chosen: as a reward k3 would hold nothing.",
    )
    kl_target: Number | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="Nats an answer to keep to: kl_coef then follows it (Ziegler et al. 2019); "
        "absent, kl_coef stays.",
    )
    kl_horizon: Integer = Field(
        default=10_000,
        ge=1,
        le=100_000_000,
        description="Answers over which kl_coef may double or halve; smaller is faster.",
        json_schema_extra={"unit": "answers"},
    )
    kl_bound: Number | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="Nats an answer beyond which the run warns; absent, it never does.",
    )
    epochs: Integer = Field(
        default=2,
        ge=1,
        le=100,
        description="Passes over the answers of a step before new ones are sampled.",
    )
    minibatches: Integer = Field(
        default=2, ge=1, le=1024, description="Updates in a pass; each takes its share of prompts."
    )
    kl_stop: Number | None = Field(
        default=0.1,
        gt=0,
        le=100,
        description="Nats a token by which the updates of a step may move the policy; beyond, the "
        "step ends early. Absent, it never does.",
    )
    clip: Annotated[Number, Field(gt=0, lt=1)] = Field(
        default=0.2,
        description="By how much the probability of a token may change before it stops counting.",
    )
    value_clip: Clip = Field(
        default=0.2, description="By how much a value may change before it stops counting."
    )
    critic_lr: Number | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Learning rate of the critic; absent, that of the optimizer.",
    )
    warm_critic: Flag = Field(
        default=True,
        description="Start the critic as the first reward adapter of this base, if there is one.",
    )
    gamma: Number = Field(
        default=1.0, gt=0, le=1, description="Discount of rewards a token later; 1 is usual."
    )
    lam: Number = Field(
        default=0.95,
        ge=0,
        le=1,
        description="λ of generalized advantage estimation: 1 trusts the rewards, 0 the critic.",
    )
    whiten: Flag = Field(
        default=True, description="Scale advantages to mean 0 and deviation 1 over the whole step."
    )
    entropy_weight: Number = Field(
        default=0.0, ge=0, le=1, description="Weight of a bonus for undecided policies; 0: none."
    )
    ptx_weight: Number = Field(
        default=0.0,
        ge=0,
        le=100,
        description="γ of PPO-ptx: weight of the language-model loss on demonstrations, or without "
        "any on general text, which keeps what was learned before; 0: none.",
    )
    server: Name | None = Field(
        default=None,
        description="A vLLM server with the base that samples the answers, as "
        "http://127.0.0.1:8000; absent, transformers does in this process.",
    )
    overlap: Flag = Field(
        default=True,
        description="With a server: sample the next step's answers while this one is trained on. "
        "They are one step old then, which the losses account for.",
    )
    importance_cap: Number = Field(
        default=2.0,
        ge=1,
        le=100,
        description="An answer's token that another policy or engine sampled counts by how likely "
        "it is now, this much at most.",
    )

    def functions(self) -> tuple[str, ...]:
        """The rewards that are Python functions; the others are folders of adapters."""
        return tuple(reward for reward in self.rewards if FUNCTION.fullmatch(reward))

    def weighted(self) -> tuple[tuple[str, float], ...]:
        """The rewards, each with its factor."""
        weights = self.reward_weights or (1.0,) * len(self.rewards)
        return tuple(zip(self.rewards, weights, strict=True))

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.reward_weights and len(self.reward_weights) != len(self.rewards):
            raise ValueError(
                f"there are {len(self.rewards)} rewards and {len(self.reward_weights)} "
                "reward_weights; give one for each, or leave reward_weights out"
            )
        if self.baseline == "rloo" and self.samples < 2:
            raise ValueError(
                'baseline "rloo" compares the answers to a prompt; set samples to 2 or more'
            )
        if self.server and not _is_address(self.server):
            raise ValueError(
                f'server: "{self.server}" is no address; give one as http://127.0.0.1:8000'
            )
        return self


def _is_address(text: str) -> bool:
    try:
        return urlsplit(text).port != 0 and _SERVER.fullmatch(text) is not None
    except ValueError:  # a port that is none
        return False
