"""The methods: all that anybody outside of a method's own files has to know of it.

A new method is an entry here, its section of the spec (`methods`), and the module that it names.
Forms, presets, snapshots, the loop's policy and the frontend read this table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

Values = dict[str, Any]


class Method(StrEnum):
    """How a run learns."""

    SFT = "sft"
    REWARD = "reward"
    DPO = "dpo"
    KTO = "kto"
    RLOO = "rloo"
    GRPO = "grpo"
    PPO = "ppo"

    @property
    def facts(self) -> "MethodFacts":
        return CATALOGUE[self]

    @property
    def section(self) -> str | None:
        """The part of the spec that belongs to this method."""
        return self.facts.section

    @property
    def has_reference(self) -> bool:
        """Whether the policy is held to a reference."""
        return self.facts.has_reference

    @property
    def learns_from_judge(self) -> bool:
        """Whether it writes completions itself, and a reward model says how good they are."""
        return self.facts.learns_from_judge


class Marks(NamedTuple):
    """What becomes of a snapshot's rankings, for people: of ties, of strengths between neighbours,
    and of pairs in which both are unacceptable.
    """

    ties: str
    strength: str
    all_bad: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFacts:
    """title, text: for a person to choose by. section: its own part of the spec, if it has one.

    run: "module:function", imported when a run begins. reads: fields of `data` of which one must
    name files. settings: what `data` says for it unless it is asked otherwise. learns_from_judge:
    it writes completions, and a reward model says how good they are. has_reference: it is held to
    one. writes: what it trains can complete prompts. has_curve: a learning curve can be measured.
    keeps_rollouts: every completion that it learned from is left behind. rate: of learning, with
    LoRA at sizes up to 13B; epochs: passes over the data. preset: what presets set of its own
    section, by the tokens that they give a completion.
    """

    title: str
    text: str
    section: str | None
    run: str
    reads: tuple[str, ...]
    marks: Marks
    settings: Mapping[str, str] = field(default_factory=dict)
    learns_from_judge: bool = False
    has_reference: bool = True
    writes: bool = True
    has_curve: bool = False
    keeps_rollouts: bool = False
    rate: float
    epochs: float = 1.0
    preset: Callable[[int], Values] = lambda max_tokens: {}


RANKINGS, PROMPTS = ("rankings", "pairs"), ("rankings", "pairs", "demonstrations")
_NO_RANKINGS = Marks(*["not read"] * 3)
_PROMPTS_ALONE = Marks(*["not read: the method answers the prompts itself"] * 3)
_NOBODY_LIKELIER = {"ties": "drop", "unacceptable": "drop_winners"}


def _online(max_tokens: int) -> Values:
    return {"generations": 4, "max_new_tokens": max_tokens // 2}


# Rates: for SFT QLoRA paper, table 9; for the others what TRL recommends for full training times
# ten, as an adapter wants. More passes over preferences fit them by heart.
CATALOGUE: Mapping[Method, MethodFacts] = {
    Method.SFT: MethodFacts(
        title="Supervised fine-tuning",
        text="Imitates demonstrations, the answers people wrote.",
        section=None,
        run="training.engine.methods.sft:run_sft",
        reads=("demonstrations",),
        marks=_NO_RANKINGS,
        has_reference=False,
        rate=2e-4,
        epochs=2.0,
    ),
    Method.REWARD: MethodFacts(
        title="Reward model",
        text="Learns to score answers as people rank them. It judges other adapters.",
        section="reward",
        run="training.engine.methods.reward:run_reward",
        reads=RANKINGS,
        settings={"ties": "soft", "unacceptable": "keep"},
        marks=Marks(
            ties="target 0.5: both are equally good",
            strength="the margin between the two rewards",
            all_bad="kept: the less bad is still the better one",
        ),
        has_reference=False,
        writes=False,
        has_curve=True,
        rate=1e-4,
    ),
    Method.DPO: MethodFacts(
        title="Direct preference optimization",
        text="Makes what was ranked higher likelier. The usual choice for rankings.",
        section="dpo",
        run="training.engine.methods.dpo:run_dpo",
        reads=RANKINGS,
        settings=_NOBODY_LIKELIER,
        marks=Marks(
            ties="left out: neither is to become likelier",
            strength="not used",
            all_bad="left out: no unacceptable answer is to become likelier",
        ),
        has_curve=True,
        rate=5e-5,
    ),
    Method.KTO: MethodFacts(
        title="Kahneman-Tversky optimization",
        text="Learns from single good and bad answers; bears one-sided data.",
        section="kto",
        run="training.engine.methods.kto:run_kto",
        reads=(*RANKINGS, "unpaired"),
        settings=_NOBODY_LIKELIER,
        marks=Marks(
            ties="each answer by its own mark; where nothing was marked, ties are left out",
            strength="not used",
            all_bad="undesirable, all of them",
        ),
        rate=2e-5,
    ),
    Method.RLOO: MethodFacts(
        title="RLOO",
        text="Answers prompts itself and learns from a reward model, each answer against the "
        "others.",
        section="online",
        run="training.engine.methods.online:run_online",
        reads=PROMPTS,
        marks=_PROMPTS_ALONE,
        learns_from_judge=True,
        rate=1e-5,
        preset=_online,
    ),
    Method.GRPO: MethodFacts(
        title="GRPO",
        text="Answers prompts itself and learns from a reward model, rewards scaled within a "
        "prompt.",
        section="online",
        run="training.engine.methods.online:run_online",
        reads=PROMPTS,
        marks=_PROMPTS_ALONE,
        learns_from_judge=True,
        rate=1e-5,
        preset=_online,
    ),
    Method.PPO: MethodFacts(
        title="PPO",
        text="Answers prompts itself and learns from a reward model, with a critic for every "
        "token.",
        section="ppo",
        run="training.engine.methods.ppo:run_ppo",
        reads=PROMPTS,
        marks=_PROMPTS_ALONE,
        learns_from_judge=True,
        keeps_rollouts=True,
        rate=3e-5,
        preset=lambda max_tokens: {"samples": 2, "max_new_tokens": max_tokens // 2},
    ),
}
# The parts of a spec that belong to methods; RLOO and GRPO share one.
SECTIONS = tuple(dict.fromkeys(facts.section for facts in CATALOGUE.values() if facts.section))
