"""What decides about a step's candidate: the gate, people, an admin; then promotion and next round.

As in `stages`, each says whether to wait, to go on or to fail.
"""

from annotate.errors import Conflict
from annotate.models import Round
from annotate.queries.prompts import PromptFilter, matching
from annotate.services import rounds
from training.evaluation.gate import check
from training.loop.outcomes import Failed, GoOn, Outcome, Over, Wait
from training.loop.policy import NextRound
from training.loop.words import counted
from training.models import Promotion, PromotionState, Stage
from training.queries.ab import ordinary_rounds
from training.queries.evaluations import warnings
from training.queries.promotions import unfinished
from training.services import ab, promotions
from training.services.timeline import note
from training.services.turn import Turn, named, took

NO_PROMPTS = (
    "No next round was opened: every prompt was in a round before. Import prompts and start a "
    "round, or let the policy take the same prompts again."
)


def gate(turn: Turn) -> Outcome:
    if moved := overtaken(turn):
        return moved
    assert turn.step.evaluation is not None  # noqa: S101
    verdicts = check(turn.step.evaluation.report or {}, turn.settings.gate)
    for verdict in verdicts:
        note(turn.step, f"{'Passed' if verdict.passed else 'Not passed'}: {verdict.text}")
    if missed := [verdict.text for verdict in verdicts if not verdict.passed]:
        turn.keep(promoted=False)
        return GoOn(Stage.ROUND, f"Not promoted. {' '.join(missed)}")
    passed = "The gate is passed" if verdicts else "The gate asks nothing"
    passed += f"{_doubted(turn)}."
    if turn.settings.humans:
        return GoOn(Stage.HUMANS, f"{passed} People compare next, without knowing which is which.")
    return GoOn(Stage.PROMOTE, passed)


def humans(turn: Turn) -> Outcome:
    if moved := overtaken(turn):
        return moved
    return ab.look(turn)


def promote(turn: Turn) -> Outcome:
    promotion = turn.step.promotion
    if promotion is None:
        if moved := overtaken(turn):
            return moved
        if turn.settings.promotion == "ask":
            return Wait(
                f"An admin approves or rejects adapter {turn.candidate.number}{_doubted(turn)}."
            )
        if other := unfinished(turn.step.project_id):
            return Wait(f"Promotion {other.number}, which somebody began, ends first.")
        promotion = _begin(turn, actor_id=None)
        text = f"Promotion {promotion.number} of adapter {turn.candidate.number} began."
        turn.made(text, promotion=promotion)
    name = f"Promotion {promotion.number}"
    if promotion.state == PromotionState.DONE:
        turn.keep(promoted=True)
        text = f"Adapter {turn.candidate.number} is the project's model; {_swapped(promotion)}."
        return GoOn(Stage.ROUND, text)
    if promotion.state == PromotionState.FAILED:
        return Failed(f"{name} failed: {promotion.message}")
    return Wait(f"{name}: {promotion.message or promotion.get_state_display()}")


def approved(turn: Turn, actor_id: int) -> Promotion:
    """An admin's yes. Raises Conflict when the question is not the same any more."""
    if not _against_current(turn):
        raise Conflict(
            "The project's model changed meanwhile; the step goes on from there in a moment.",
            retry=True,
        )
    return _begin(turn, actor_id=actor_id)


def _begin(turn: Turn, *, actor_id: int | None) -> Promotion:
    """actor_id: who approved; None: the policy did."""
    return promotions.promote(
        project_id=turn.step.project_id,
        actor_id=actor_id,
        adapter_id=turn.candidate.pk,
        evaluation_id=turn.step.evaluation_id,
        reason=f"Step {turn.step.number} of the loop: the gate was passed{_doubted(turn)}.",
        stale=turn.settings.stale,
    )


def _doubted(turn: Turn) -> str:
    """ ", with 2 warnings": the gate is never said to be passed without what speaks against it."""
    assert turn.step.evaluation is not None  # noqa: S101
    found = len(warnings(turn.step.evaluation))
    return f", with {counted(found, 'warning')}" if found else ""


def _swapped(promotion: Promotion) -> str:
    return f"promotion {promotion.number} took {took(promotion)}"


def overtaken(turn: Turn) -> Outcome | None:
    """Somebody promoted or rolled back meanwhile: the evaluation is against another model now."""
    if by_hand := promoted_by_hand(turn):
        return by_hand
    if _against_current(turn):
        return None
    ab.stop(turn.step, turn.actor_id)
    turn.keep(evaluation=None, ab_round=None)
    return GoOn(
        Stage.EVALUATE,
        f"The project's model became {named(turn.incumbent)} meanwhile: the candidate is compared "
        "with it anew.",
    )


def _against_current(turn: Turn) -> bool:
    incumbent, evaluation = turn.incumbent, turn.step.evaluation
    now = incumbent.pk if incumbent else None
    return evaluation is not None and now == evaluation.incumbent_id


def promoted_by_hand(turn: Turn) -> Outcome | None:
    """Somebody promoted the candidate itself: there is nothing left to decide."""
    if turn.incumbent != turn.candidate:
        return None
    ab.stop(turn.step, turn.actor_id)
    turn.keep(promoted=True)
    return GoOn(Stage.ROUND, f"Somebody promoted adapter {turn.candidate.number} meanwhile.")


def next_round(turn: Turn) -> Outcome:
    wanted = turn.settings.next_round
    if wanted is None:
        return Over("The policy opens no next round.")
    if turn.step.round is None:
        prompts = _prompts(turn, wanted)
        if not matching(turn.step.project_id, prompts).exists():
            return Over(NO_PROMPTS)
        made = _open_round(turn, wanted, prompts)
        turn.made(f"Round {made.number} is written by {named(turn.incumbent)}.", round=made)
        return Over(f"Round {made.number} is open.")
    return Over(f"Round {turn.step.round.number} is open.")


def _open_round(turn: Turn, wanted: NextRound, prompts: PromptFilter) -> Round:
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
