"""What the run is compared with: the reference's answers at its start, held-out ones on the way."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from training.engine.adapters import reference_active
from training.engine.data import Prompt
from training.engine.evaluation.accuracy import accuracy
from training.engine.evaluation.calibration import calibration
from training.engine.evaluation.judged import Score, implicit_rewards, judge
from training.engine.loop import AfterStep
from training.engine.memory.estimate import PACKS_OF_ROLLOUTS
from training.engine.packing import Pack
from training.engine.ppo.alarms import Start
from training.engine.ppo.opening import Session
from training.engine.ppo.rewards import Answered, total
from training.engine.ppo.rollouts import Local
from training.engine.ppo.scale import Scale, with_missing_ends

# Answers of the reference on which the scale of rewards is measured, as far as there are prompts.
TO_SCALE = 64

Asking = Callable[[Sequence[Prompt], int], list[Answered]]


def asking(session: Session, samples: int) -> Asking:
    """Answers of the model as it is, at the temperature of the run; from prompts and a seed."""
    sampling = replace(session.sampling, samples=samples)
    sampler = Local(session.model, sampling, PACKS_OF_ROLLOUTS * session.passes.budget)

    def ask(prompts: Sequence[Prompt], seed: int) -> list[Answered]:
        found = sampler.sample([one.tokens for one in prompts], seed)
        return [
            Answered(prompt, answers, tuple(session.decode(one) for one in answers))
            for prompt, answers in zip(prompts, found, strict=True)
        ]

    return ask


def measure_reference(session: Session) -> tuple[Scale, Start]:
    """The scale of rewards, and what the run starts with: by answers of the reference.

    Every process measures the same.
    """
    settings, seed = session.settings, session.spec.training.seed
    session.reporter.phase("rewards of the reference")
    prompts = session.prompts.train[:TO_SCALE]
    samples = min(settings.samples, -(-TO_SCALE // len(prompts)))
    ask = asking(session, samples)
    with reference_active(session.model):
        asked = ask(prompts, seed)
    found = total(session.sources, asked)["reward"]
    scale = Scale(clip=settings.reward_clip)
    if settings.normalize_rewards:
        scale = Scale.of(found, settings.reward_clip)
    answers = [answer for one in asked for answer in one.answers]
    finished = torch.tensor([one.finished for one in answers])
    scores = with_missing_ends(scale(found), finished, settings.missing_end_penalty)
    return scale, Start(
        float(scores.mean()), sum(len(one.tokens) for one in answers) / len(answers)
    )


def on_the_way(session: Session, scale: Callable[[], Scale]) -> AfterStep:
    """Of held-out prompts the reward and the length; of held-out rankings how often the policy
    prefers what people preferred. scale: of rewards, as it is by then.
    """
    prompts = session.prompts.evaluation[: session.spec.evaluation.answers]
    ask = asking(session, 1)
    score = held_out_score(session)

    def evaluate(step: int) -> dict[str, float]:
        session.roles.eval()
        found: dict[str, float] = {}
        if prompts:
            asked = ask(prompts, session.spec.training.seed)
            earned = total(session.sources, asked)["reward"]
            found["evaluation_reward"] = float(earned.mean())
            found["evaluation_score"] = float(scale()(earned).mean())
            found["evaluation_length"] = sum(len(one.answers[0].tokens) for one in asked) / len(
                asked
            )
        if session.held_out:
            judged = judge(session.passes.packs(session.held_out), score)
            right, forecasts = accuracy(judged), calibration(judged)
            if right is not None:
                found["evaluation_accuracy"] = right.value
            if forecasts is not None:
                found["evaluation_log_loss"] = forecasts.log_loss
        return found

    return evaluate


def held_out_score(session: Session) -> Score:
    """The rewards for which the policy would be the best answer: β (log π - log π_ref), (C,)."""
    actor = session.roles.actor

    def reference(packed: Pack) -> Tensor:
        with torch.no_grad(), reference_active(session.model):
            found: Tensor = actor(packed)
        return found

    return implicit_rewards(actor, reference, session.settings.kl_coef or 1.0)
