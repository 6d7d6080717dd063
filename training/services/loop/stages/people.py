"""The blind A/B round of a step: the candidate against what the project's model is.

Two answers to each prompt, one of each side, which labelers see under letters in an order of their
own, as in every round. `training.loop.stopping` says when it may end.

The candidate is served under the alias of evaluations' candidates, which `contenders` drops once
no step is in this stage.
"""

from django.db import transaction

from annotate.dispatch import enqueue
from annotate.errors import Invalid, Refusal
from annotate.models import Round, RoundState, Split
from annotate.queries.prompts import PromptFilter, matching
from annotate.services import rounds
from inference.adapters import register_adapter, serve_adapter
from inference.errors import InferenceError, SwapRefused
from inference.locks import try_lock
from inference.models import Adapter, ModelAlias, ServedModel
from training.evaluation.hacking import Won
from training.loop.outcomes import Failed, GoOn, Outcome, Wait
from training.loop.policy import Humans
from training.loop.stopping import Decision, Standing, decide, interval
from training.models import LoopStep, Stage, StepState, TrainedAdapter
from training.queries.ab import is_over, standing
from training.services.evaluations.contenders import CANDIDATE
from training.services.evaluations.hacking import add_to_report, suspicion
from training.services.loop.ending import fail
from training.services.loop.stages.canceling import cancel_ab_round
from training.services.loop.stages.incumbent import overtaken
from training.services.loop.stages.stage import LoopStage
from training.services.loop.timeline import ADVANCE, note
from training.services.loop.turn import Turn, turn_of

SERVE = "training.serve_candidate"
K = 2


def alias_of(slug: str) -> str:
    """The name under which the candidate is served meanwhile."""
    return f"{slug}/{CANDIDATE}"


def look(turn: Turn) -> Outcome:
    """Open the round, watch it, and end it when the rule or the limit says so."""
    if moved := overtaken(turn):
        return moved
    asked = turn.settings.humans
    if asked is None:
        return GoOn("The policy asks no people.")
    round_ = turn.step.ab_round
    if round_ is None:
        return _begin(turn, asked)
    if round_.state == RoundState.CANCELED:
        return Failed(f"The A/B round {round_.number} was canceled. A retry opens another one.")
    if round_.state == RoundState.FAILED:
        return Failed(f"The A/B round {round_.number} failed: {round_.message}")
    found = standing(round_)
    decision = decide(
        found,
        limit=asked.rankings,
        min_win_rate=asked.min_win_rate,
        over=is_over(round_),
    )
    if decision is not None:
        _suspect(turn, found)
        return _ended(turn, round_, decision)
    if round_.state == RoundState.GENERATING and _served(turn) is None:
        enqueue(SERVE, step_id=turn.step.pk)
    return Wait(
        f"{found.rankings} of at most {asked.rankings} rankings in A/B round {round_.number}."
        f"{' It is paused.' if round_.paused else ''}"
    )


def _begin(turn: Turn, asked: Humans) -> Outcome:
    served = _served(turn)
    if served is None:
        enqueue(SERVE, step_id=turn.step.pk)
        waits = turn.step.waiting_for or "The candidate is being loaded on the inference servers."
        return Wait(waits)
    round_ = _open(turn, asked, served)
    turn.made(
        f"A/B round {round_.number}: adapter {turn.candidate.number} against what the project's "
        f"model is, {asked.rankings} rankings at most; it ends as soon as one side is better for "
        "sure (95%).",
        ab_round=round_,
    )
    return Wait(f"A/B round {round_.number} is being written.")


def _suspect(turn: Turn, found: Standing) -> None:
    """Say it in the timeline and in the report when people see what the reward model did not."""
    step, decided = turn.step, found.wins + found.losses
    if step.run is None or step.evaluation is None or not decided:
        return
    won = Won(found.wins / decided, *interval(found), by="people, ties left out,")
    if text := suspicion(step.run, won):
        add_to_report(step.evaluation, text)
        note(step, text)


def _ended(turn: Turn, round_: Round, decision: Decision) -> Outcome:
    if round_.open:
        rounds.close_round(round_id=round_.pk, actor_id=turn.actor_id)
    if not decision.passed:
        turn.keep(promoted=False)
        return GoOn(f"Not promoted. {decision.text}", Stage.ROUND)
    return GoOn(decision.text)


def _open(turn: Turn, asked: Humans, candidate: ServedModel) -> Round:
    """Answers as in the evaluation. The candidate is the first source; a task gets one of each."""
    how = turn.settings.evaluation
    made = rounds.create_round(
        project_id=turn.step.project_id,
        actor_id=turn.actor_id,
        prompts=_prompts(turn.step.project_id, asked.rankings),
        k=K,
        overlap=1,
        sources=[
            rounds.Source(
                served_model_id=served.pk,
                temperature=how.temperature,
                top_p=how.top_p,
                max_tokens=how.max_tokens,
            )
            for served in (candidate, _incumbent(turn))
        ],
    )
    return rounds.start_round(round_id=made.pk, actor_id=turn.actor_id)


def _prompts(project_id: int, wanted: int) -> PromptFilter:
    """Fresh ones, which training has not seen; if they are too few, held-out ones, if more."""
    fresh = PromptFilter(split=Split.TRAIN, fresh=True, sample=wanted)
    held_out = PromptFilter(split=Split.HELD_OUT, sample=wanted)
    counts = [min(wanted, matching(project_id, each).count()) for each in (fresh, held_out)]
    if not any(counts):
        raise Invalid(
            "No prompt is left for the A/B round: all were in a round, and none is held out. "
            "Import prompts, then retry."
        )
    return fresh if counts[0] >= counts[1] else held_out


def _incumbent(turn: Turn) -> ServedModel:
    incumbent = turn.incumbent
    if incumbent is not None:
        return Adapter.objects.get(content_hash=incumbent.content_hash).served_model
    base = ServedModel.objects.filter(name=turn.candidate.base, kind=ServedModel.Kind.BASE).first()
    if base is None:
        raise Invalid(f"No inference server has served “{turn.candidate.base}” yet.", retry=True)
    return base


def _served(turn: Turn) -> ServedModel | None:
    """The candidate, if the alias of the A/B round means it."""
    alias = ModelAlias.objects.filter(
        name=alias_of(turn.step.project.slug),
        current__content_hash=turn.candidate.content_hash,
    )
    found = alias.select_related("current__served_model").first()
    return found.current.served_model if found and found.current else None


def serve_candidate(*, step_id: int) -> None:
    """Load the candidate on the inference servers. Safe to run twice.

    Takes seconds and waits for servers: run it outside of a transaction. What it waits for, or why
    it cannot be, is said in the step.
    """
    with try_lock(f"{SERVE}.{step_id}") as mine:
        step = _comparing(step_id) if mine else None
        if step is None:
            return
        candidate = turn_of(step).candidate
        try:
            _serve(step.project.slug, candidate)
        except SwapRefused as refused:
            _put_off(step_id, str(refused), permanent=refused.permanent)
        except InferenceError as error:
            _put_off(step_id, error.summary, permanent=False)
        except Refusal as refused:
            _put_off(step_id, refused.message, permanent=not refused.retry)
        except OSError as error:
            why = f"The adapter's files cannot be read: {error.strerror or error}."
            _put_off(step_id, why, permanent=False)
        else:
            enqueue(ADVANCE, step_id=step_id)


def _comparing(step_id: int) -> LoopStep | None:
    steps = LoopStep.objects.filter(pk=step_id, stage=Stage.HUMANS, state=StepState.RUNNING)
    return steps.select_related("project").first()


def _serve(slug: str, candidate: TrainedAdapter) -> None:
    adapter = register_adapter(content_hash=candidate.content_hash, base=candidate.base)
    serve_adapter(alias=alias_of(slug), base=candidate.base, adapter_id=adapter.pk)


@transaction.atomic
def _put_off(step_id: int, why: str, *, permanent: bool) -> None:
    """It is tried again, unless that does not help."""
    step = LoopStep.objects.select_for_update().filter(pk=step_id).first()
    if step is None or (step.stage, step.state) != (Stage.HUMANS, StepState.RUNNING):
        return
    if permanent:
        fail(step, f"The candidate cannot be served: {why}")
    else:
        step.waiting_for = f"The candidate is not served yet: {why}"
        step.save(update_fields=["waiting_for"])


def stop(step: LoopStep, actor_id: int) -> None:
    if step.stage == Stage.HUMANS:
        cancel_ab_round(step, actor_id)


def mend(step: LoopStep, actor_id: int) -> None:
    round_ = step.ab_round
    if round_ is not None and round_.state == RoundState.FAILED:
        rounds.retry_round(round_id=round_.pk, actor_id=actor_id)
    elif round_ is not None and round_.state == RoundState.CANCELED:
        step.ab_round = None


STAGE = LoopStage(
    name=Stage.HUMANS,
    look=look,
    stop=stop,
    mend=mend,
    wanted=lambda settings: settings.humans is not None,
    made={"ab_round": "round"},
)
