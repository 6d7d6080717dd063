"""PPO with four roles on one base (Ouyang et al. 2022, section 3.5): from a spec to an adapter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from training.engine.adapters import save_adapter
from training.engine.checkpoints import trainable_state
from training.engine.errors import SpecError
from training.engine.evaluation.preferences import preferences
from training.engine.evaluation.report import Evaluation, write_evaluation
from training.engine.memory.estimate import PACKS_OF_ROLLOUTS
from training.engine.methods.measures import Material, Measured, measure_policy, read_material
from training.engine.methods.results import write_adapter, write_merged
from training.engine.optimizers import optimizer_over
from training.engine.plan import Plan, whole_steps
from training.engine.ppo.critic import save_critic
from training.engine.ppo.held_out import held_out_score, measure_reference, on_the_way
from training.engine.ppo.kl import Penalty
from training.engine.ppo.loop import Work, processes_of, train
from training.engine.ppo.opening import Session, open_session
from training.engine.ppo.replay import read_replayed
from training.engine.ppo.rollouts import Local, Sampler, Served
from training.engine.ppo.scale import Scale
from training.engine.ppo.state import State
from training.engine.ppo.table import FILE, Table
from training.engine.ppo.update import Updating
from training.engine.process import Reporter, RunFolder, StopRequest
from training.engine.schedule import few_steps, schedule_of
from training.engine.spec import RunSpec

SERVED = ".served"
MEASURED_ONLY = (
    'ppo.kl_estimator "k3" is what the divergence is measured by; tokens pay by k1, which alone '
    "has the gradient of the divergence."
)


def run_ppo(spec: RunSpec, folder: RunFolder, reporter: Reporter, stop: StopRequest) -> None:
    """Scale of the rewards, training, adapter, evaluation.

    Raises SpecError when there is no reward, or one cannot be used.
    """
    if spec.ppo is None:
        raise SpecError("ppo.rewards is missing: PPO learns from rewards.")
    session = open_session(spec, spec.ppo, folder, reporter, stop)
    if spec.ppo.kl_estimator == "k3":
        reporter.warn(MEASURED_ONLY)
    material = read_material(spec, session.base.tokenizer)
    work, state = _begin(session)
    state.resume(folder.checkpoints, session.accelerator.process_index)
    if state.start is None:
        state.scale, state.start = measure_reference(session)
        if session.roles.critic is not None:
            session.roles.critic.head.put_on(state.scale)
    folder.update_manifest({"reward_scale": state.scale.to_json()})
    train(work, state)
    _keep(session, state.scale)
    _finish(session, material)


def _begin(session: Session) -> tuple[Work, State]:
    """Optimizer, schedule and sampler, as at the first step."""
    spec, settings, training = session.spec, session.settings, session.spec.training
    prompts, accelerator = session.prompts.train, session.accelerator
    steps = whole_steps(len(prompts), training.groups_per_step, training.epochs, training.max_steps)
    if warning := few_steps(steps):
        session.reporter.warn(warning)
    optimizer = _optimizer(session)
    schedule = schedule_of(optimizer, spec.optimizer, steps)
    penalty = Penalty(settings.kl_coef, settings.kl_target, settings.kl_horizon)
    state = State(session.roles, optimizer, schedule, penalty, Scale(clip=settings.reward_clip))
    work = Work(
        spec=spec,
        settings=settings,
        folder=session.folder,
        ears=session.reporter,
        stop=session.stop,
        accelerator=accelerator,
        prompts=prompts,
        plan=Plan(
            sizes=tuple(len(one.tokens) for one in prompts),
            groups_per_step=training.groups_per_step,
            tokens_per_pack=training.tokens_per_pack,
            steps=steps,
            seed=training.seed,
        ),
        sources=session.sources,
        sampler=_sampler(session),
        passes=session.passes,
        updating=_updating(session, optimizer),
        decode=session.decode,
        table=Table(session.folder.root / FILE),
        evaluate=on_the_way(session, lambda: state.scale),
    )
    return work, state


def _optimizer(session: Session) -> torch.optim.Optimizer:
    """Over actor and critic, and nothing else."""
    settings, rate = session.settings, session.spec.optimizer.lr
    groups: list[dict[str, Any]] = [{"params": session.roles.trained_of_actor(), "lr": rate}]
    if critic := session.roles.trained_of_critic():
        groups.append({"params": critic, "lr": settings.critic_lr or rate})
    return optimizer_over(groups, session.spec.optimizer)


def _updating(session: Session, optimizer: torch.optim.Optimizer) -> Updating:
    spec, accelerator = session.spec, session.accelerator
    replay = None
    if session.settings.ptx_weight:
        replay = read_replayed(spec.data, session.base.tokenizer)
    return Updating(
        roles=session.roles,
        settings=session.settings,
        optimizer=optimizer,
        passes=session.passes,
        max_grad_norm=spec.optimizer.max_grad_norm,
        processes=processes_of(accelerator),
        seed=spec.training.seed,
        rank=accelerator.process_index,
        replay=replay,
    )


def _sampler(session: Session) -> Sampler:
    """By the server that the spec names, or in this process."""
    place = session.settings.server
    if place is None:
        tokens = PACKS_OF_ROLLOUTS * session.passes.budget
        return Local(session.model, session.sampling, tokens)
    card = _card(session)

    def write(folder: Path) -> str:
        return save_adapter(session.model, folder, card=card)

    def shared(name: str) -> str:
        told = [name]
        broadcast_object_list(told)
        return told[0]

    first = session.accelerator.is_main_process
    return Served(
        place,
        session.folder.root / SERVED,
        session.sampling,
        write if first else None,
        session.reporter.warn,
        shared,
    )


def _card(session: Session) -> Mapping[str, Any]:
    """What an adapter that lives for a step says of itself."""
    return {
        "base": session.base.content_hash,
        "base_name": session.base.name,
        "method": session.spec.method.value,
        "template": "",
        "spec": {},
    }


def _keep(session: Session, scale: Scale) -> None:
    """Write the actor's adapter, and the critic beside it, before it is measured."""
    if session.folder.writes:
        session.reporter.phase("writing the adapter")
        state = trainable_state(session.model)
        write_adapter(
            session.spec,
            session.folder,
            session.base,
            session.model,
            session.prompts.content_hash,
            state=state,
            beside=lambda folder: save_critic(session.roles, scale, session.expected, folder),
        )


def _finish(session: Session, material: Material) -> None:
    """Agreement with held-out rankings, forgetting, length, drift; every process measures."""
    session.reporter.phase("evaluation", len(session.held_out) or None)
    policy = Measured(
        session.spec, session.base, session.roles.actor, session.passes.packs, session.stop
    )
    language = measure_policy(policy, material, session.held_out)
    found = Evaluation(missing=session.missing)
    if session.held_out:
        packs = session.passes.packs(session.held_out)
        seed = session.spec.training.seed
        found = preferences(packs, held_out_score(session), seed=seed)
    if not session.folder.writes:
        return
    write_evaluation(found.merged(language), session.folder.evaluation)
    if session.spec.merge:
        session.reporter.phase("merging")
        write_merged(session.spec, session.folder)
