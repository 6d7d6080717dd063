"""The spec of a run as a whole."""

from typing import Any, Self

from pydantic import Field, model_validator

from training.engine.spec.catalogue import SECTIONS, Method
from training.engine.spec.fields import Flag, Section
from training.engine.spec.methods import DPO, KTO, Online, Reward
from training.engine.spec.ppo import PPO
from training.engine.spec.sections import Base, Data, Lora, Measuring, Optimizer, Parent, Training


class RunSpec(Section):
    """Everything that decides what a run does. The method's own section may be left out."""

    method: Method = Field(
        description="sft: imitate demonstrations. reward: learn to score completions. dpo: prefer "
        "what was ranked higher. kto: from single good and bad completions. rloo, grpo: sample "
        "and learn from rewards. ppo: the same, with a critic and clipped updates.",
    )
    base: Base = Field(description="The model that is trained on.")
    lora: Lora = Field(default=Lora(), description="The adapter that is trained.")
    parent: Parent | None = Field(
        default=None, description="An adapter to go on from, or to be held to."
    )
    data: Data = Field(description="The files to learn from and to evaluate on.")
    optimizer: Optimizer = Field(default=Optimizer(), description="The optimizer and its schedule.")
    training: Training = Field(description="How long, in what steps.")
    evaluation: Measuring = Field(
        default=Measuring(), description="What is measured of the trained model."
    )
    dpo: DPO | None = Field(default=None, description="Settings of DPO; for method dpo only.")
    reward: Reward | None = Field(
        default=None, description="Settings of a reward model; for method reward only."
    )
    kto: KTO | None = Field(default=None, description="Settings of KTO; for method kto only.")
    online: Online | None = Field(
        default=None, description="Settings of RLOO and GRPO; for these methods only."
    )
    ppo: PPO | None = Field(default=None, description="Settings of PPO; for method ppo only.")
    merge: Flag = Field(
        default=False,
        description="Write the base with the adapter merged into it as well, as a full model.",
    )

    def to_json(self) -> str:
        """As it is saved: every field, the defaults too."""
        return self.model_dump_json(indent=2) + "\n"

    @model_validator(mode="before")
    @classmethod
    def _fill_own_section(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("method") not in list(Method):
            return values
        section = Method(values["method"]).section
        if section is None or values.get(section) is not None:
            return values
        return {**values, section: {}}

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        for section in SECTIONS:
            if section != self.method.section and getattr(self, section) is not None:
                raise ValueError(
                    f'the section {section} has no meaning for method "{self.method}"; leave it out'
                )
        if self.parent and self.parent.use != "continue" and not self.method.has_reference:
            raise ValueError(
                f'method "{self.method}" has no reference, and parent.use is "{self.parent.use}"; '
                'set it to "continue", or leave parent out'
            )
        if self.ppo and self.lora.dropout:
            raise ValueError(
                "lora.dropout would make every ratio of probabilities a noisy one in PPO; set it "
                "to 0"
            )
        self._refuse_missing_data()
        return self

    def _refuse_missing_data(self) -> None:
        data, reads = self.data, self.method.facts.reads
        if (data.unpaired or data.evaluation_unpaired) and "unpaired" not in reads:
            raise ValueError(
                f'data.unpaired has no meaning for method "{self.method}"; kto learns from single '
                "completions"
            )
        if not any(getattr(data, name) for name in reads):
            *others, last = (f"data.{name}" for name in reads)
            places = f"{', '.join(others)} or {last}" if others else last
            wanted = f"files{' with prompts' * self.method.learns_from_judge} in {places}"
            raise ValueError(f'method "{self.method}" has nothing to learn from; it takes {wanted}')
        if self.training.evaluate_every and not (data.evaluation or data.held_out_fraction):
            raise ValueError(
                "training.evaluate_every is set, and nothing is there to evaluate on; name "
                "evaluation files, or set data.held_out_fraction above 0"
            )
