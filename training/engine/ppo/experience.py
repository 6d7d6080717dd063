"""What a step learns from: its answers, measured by every role before the first update."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.engine.errors import SpecError
from training.engine.groups import Group
from training.engine.packing import Pack
from training.engine.ppo import losses
from training.engine.ppo.advantages import Sum, gae, leave_one_out, token_rewards, whiten
from training.engine.ppo.kl import ESTIMATORS, k1
from training.engine.ppo.passes import Passes
from training.engine.ppo.rewards import Answered, Source, total
from training.engine.ppo.roles import Roles
from training.engine.ppo.scale import Scale, with_missing_ends
from training.engine.spec.ppo import PPO

# Nats a token between sampler and trainer, beyond which they are not the same model.
STRANGE = 1.0

Means = dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Experience:
    """A prompt's answers with n tokens together, and what was measured of each token, (n,).

    old: log-probabilities before the first update. values, returns: empty without a critic.
    importance: how much a token counts that another policy sampled.
    """

    group: Group
    old: Tensor
    advantages: Tensor
    values: Tensor
    returns: Tensor
    importance: Tensor

    @property
    def tokens(self) -> int:
        return len(self.old)


@dataclass(frozen=True, eq=False)
class Measured:
    """What the roles say of all N tokens of C answers, (N,) each; rewards: (C,) by their names.

    counts: (C,) tokens of each answer.
    """

    counts: Tensor
    old: Tensor
    plain: Tensor
    entropies: Tensor
    reference: Tensor
    values: Tensor
    rewards: dict[str, Tensor]

    def sums(self, per_token: Tensor) -> Tensor:
        """(N,) -> (C,)"""
        return torch.segment_reduce(per_token, "sum", lengths=self.counts, unsafe=True)


def measure(
    asked: Sequence[Answered],
    roles: Roles,
    sources: Sequence[tuple[Source, float]],
    passes: Passes,
) -> Measured:
    """A forward of each role over the answers, without gradients."""
    groups = [one.group for one in asked]

    def spoken(packed: Pack) -> Tensor:
        said = roles.actor.spoken(packed)
        return torch.stack([said.logprobs, said.entropies, said.plain])

    rewards = total(sources, asked)
    with roles.measuring():
        said = torch.cat(passes.tokens(groups, spoken), dim=1)
        with roles.as_reference():
            reference = torch.cat(passes.tokens(groups, lambda one: spoken(one)[0]))
        values = torch.zeros_like(reference)
        if roles.critic is not None:
            with roles.as_critic():
                values = torch.cat(passes.tokens(groups, roles.critic))
    counts = torch.tensor([len(tokens) for group in groups for tokens in group.completions])
    return Measured(counts, said[0], said[2], said[1], reference, values, rewards)


@dataclass(frozen=True, eq=False)
class Learned:
    """experiences: by prompt. scores: (C,) scaled rewards with penalties. kl: (C,) nats.

    means: sum and count of each metric, of this process. tempered: whether the sampler tells
    log-probabilities at the temperature of sampling, so that importance could be counted.
    """

    experiences: list[Experience]
    scores: Tensor
    kl: Tensor
    means: Means
    tempered: bool


def learn_from(
    asked: Sequence[Answered],
    found: Measured,
    settings: PPO,
    *,
    coefficient: float,
    scale: Scale,
    processes: Sum,
) -> Learned:
    """Rewards, advantages and importance of what was measured.

    coefficient: of the divergence, now. processes: adds up a tensor over them; all have to call.
    """
    finished = torch.tensor([answer.finished for one in asked for answer in one.answers])
    scores = with_missing_ends(
        scale(found.rewards["reward"]), finished, settings.missing_end_penalty
    )
    divergence = ESTIMATORS[settings.kl_estimator](found.old, found.reference)
    # Whatever measures: only k1 as a reward has the gradient of the divergence (see `ppo.kl`).
    penalty = k1(found.old, found.reference)
    rewards = token_rewards(scores, penalty, found.counts, coefficient)
    advantages, returns = _compared(found, rewards, settings)
    explained = losses.explained_variance(found.values, returns)
    if settings.whiten:
        advantages = whiten(advantages, processes)
    kl = found.sums(divergence)
    means = {
        **{name: _mean(values) for name, values in found.rewards.items()},
        "score": _mean(scores),
        "kl": _mean(kl),
        "kl_token": _mean(divergence),
        "entropy": _mean(found.entropies),
        "length": _mean(found.counts.float()),
        "end_rate": _mean(finished.float()),
    }
    if settings.baseline == "critic":
        means |= {"value": _mean(found.values), "explained_variance": (float(explained), 1.0)}
    sampled = torch.tensor(
        [logprob for one in asked for answer in one.answers for logprob in answer.logprobs]
    )
    tempered = _tempered(found, sampled, processes)
    importance, mismatch = _importance(found, sampled, settings.importance_cap, tempered=tempered)
    columns = (found.old, advantages, found.values, returns, importance)
    return Learned(_by_prompt(asked, columns), scores, kl, means | mismatch, tempered)


def _compared(found: Measured, rewards: Tensor, settings: PPO) -> tuple[Tensor, Tensor]:
    """Advantages and returns, (N,) each, of rewards (N,) against the baseline."""
    if settings.baseline == "critic":
        return gae(rewards, found.values, found.counts, gamma=settings.gamma, lam=settings.lam)
    compared = leave_one_out(found.sums(rewards), settings.samples)
    return compared.repeat_interleave(found.counts), found.values


def _tempered(found: Measured, sampled: Tensor, processes: Sum) -> bool:
    """Whether the sampler's (N,) log-probabilities are those at the temperature of sampling.

    vLLM tells them before the temperature or after it, as it was started, and does not say which:
    they are nearer to the trainer's own of that kind, by far, even when they are a step old.
    """
    apart = torch.stack([(mine - sampled).abs().sum() for mine in (found.old, found.plain)])
    after, before = processes(apart.double()).tolist()
    return bool(after <= before)


def _importance(
    found: Measured, sampled: Tensor, cap: float, *, tempered: bool
) -> tuple[Tensor, Means]:
    """How much each token counts, (N,), and how far sampler and trainer are apart.

    What the sampler says at another temperature than it sampled with is only compared.
    """
    mine = found.old if tempered else found.plain
    counted = losses.importance(mine, sampled, cap) if tempered else torch.ones_like(mine)
    return counted, {
        # KL(sampler || trainer) on what the sampler said: 0 but for rounding when both are one.
        "mismatch_kl": _mean(k1(sampled, mine)),
        "importance": _mean((mine - sampled).exp().clamp(max=cap)),
    }


def _mean(values: Tensor) -> tuple[float, float]:
    return float(values.double().sum()), float(len(values))


def _by_prompt(asked: Sequence[Answered], columns: Sequence[Tensor]) -> list[Experience]:
    counts = [sum(len(answer.tokens) for answer in one.answers) for one in asked]
    old, advantages, values, returns, importance = (one.split(counts) for one in columns)
    return [
        Experience(one.group, *parts)
        for one, *parts in zip(asked, old, advantages, values, returns, importance, strict=True)
    ]


def refuse_strangers(mismatch: float) -> None:
    """Raises SpecError when the sampler answers from another model than the trainer has.

    mismatch: nats a token between the two, of answers that were sampled from the actor as it is.
    """
    if mismatch > STRANGE:
        raise SpecError(
            f"ppo.server: the answers are not the policy's own: they differ by {mismatch:.2g} nats "
            "a token.",
            advice="Let the server have the same base as base.model, unquantized.",
        )
