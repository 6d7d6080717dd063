"""The last stage: a round that the project's model, new or not, writes."""

from annotate.models import Round
from annotate.queries.prompts import PromptFilter, matching
from annotate.services import rounds
from training.loop.outcomes import Outcome, Over
from training.loop.policy import NextRound
from training.models import Stage
from training.queries.ab import ordinary_rounds
from training.services.loop.stages.stage import LoopStage
from training.services.loop.turn import Turn, named

NO_PROMPTS = (
    "No next round was opened: every prompt was in a round before. Import prompts and start a "
    "round, or let the policy take the same prompts again."
)


def look(turn: Turn) -> Outcome:
    wanted = turn.settings.next_round
    if wanted is None:
        return Over("The policy opens no next round.")
    if turn.step.round is None:
        prompts = _prompts(turn, wanted)
        if not matching(turn.step.project_id, prompts).exists():
            return Over(NO_PROMPTS)
        made = _open(turn, wanted, prompts)
        turn.made(f"Round {made.number} is written by {named(turn.incumbent)}.", round=made)
        return Over(f"Round {made.number} is open.")
    return Over(f"Round {turn.step.round.number} is open.")


def _open(turn: Turn, wanted: NextRound, prompts: PromptFilter) -> Round:
    """Its source follows the project's model, also when that changes once more."""
    made = rounds.create_round(
        project_id=turn.step.project_id,
        actor_id=turn.actor_id,
        prompts=prompts,
        k=wanted.k,
        overlap=wanted.overlap,
        sources=[
            rounds.Source(
                follows=True,
                temperature=wanted.temperature,
                top_p=wanted.top_p,
                max_tokens=wanted.max_tokens,
            )
        ],
    )
    return rounds.start_round(round_id=made.pk, actor_id=turn.actor_id)


def _prompts(turn: Turn, wanted: NextRound) -> PromptFilter:
    """Fresh ones are of both splits: rankings of held-out prompts measure what is learned."""
    if wanted.prompts == "same":
        last = ordinary_rounds(turn.step.project_id).first()
        return PromptFilter(of_round=last.number if last else None, sample=wanted.sample)
    return PromptFilter(fresh=True, sample=wanted.sample)


STAGE = LoopStage(
    name=Stage.ROUND,
    look=look,
    wanted=lambda settings: settings.next_round is not None,
    made={"round": "round"},
)
