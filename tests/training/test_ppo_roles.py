"""Four roles on one base: who is trained, who stays as it was, and what the critic starts as."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.packs import two_groups
from tests.training.tiny import save_tiny
from training.engine.adapters import (
    StoredAdapter,
    adapter_active,
    add_frozen,
    attach_lora,
    read_adapter,
    save_adapter,
)
from training.engine.base import LoadedBase, load_base
from training.engine.fused import fuse
from training.engine.head import head_logprobs
from training.engine.layout import choose_layout
from training.engine.packing import pack
from training.engine.ppo.roles import Actor, Critic, CriticStart, Roles, add_critic
from training.engine.ppo.scale import Scale
from training.engine.reward_head import RewardHead, load_head
from training.engine.scorers import Rewards
from training.engine.spec import Base, Lora, Parent, Precision

PACK = pack(two_groups())
JUDGE = "reward_0"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny("llama", tmp_path / "base")


def opened(folder: Path, precision: str = "fp32") -> LoadedBase:
    return load_base(Base(model=str(folder), precision=Precision(precision)))


def stored(base: LoadedBase, place: Path, *, r: int, seed: int, reward: bool) -> StoredAdapter:
    """An adapter that does something, by random weights."""
    model = attach_lora(base, Lora(r=r), seed=seed)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    card = {"base": base.content_hash, "base_name": "", "method": "", "template": "", "spec": {}}
    head = RewardHead(32, seed=seed) if reward else None
    save_adapter(model, place, card=card, head=head)
    return read_adapter(place)


def four_roles(folder: Path, tmp_path: Path, precision: str = "fp32") -> tuple[Roles, Rewards]:
    """A reference of rank 4 that the actor starts from, a reward model of rank 2."""
    parent = stored(opened(folder), tmp_path / "sft", r=4, seed=1, reward=False)
    judge = stored(opened(folder), tmp_path / "reward", r=2, seed=2, reward=True)
    base = opened(folder, precision)
    model = attach_lora(base, Lora(r=4), Parent(adapter=str(parent.folder), use="both"))
    head = add_critic(base, model, CriticStart(judge, 1.0), seed=0)
    add_frozen(model, judge, JUDGE)
    layout = choose_layout(model, "packed", 64)
    fuse(model)
    roles = Roles(Actor(model, layout, 0.7), Critic(model, layout, head))
    reward = Rewards(model, load_head(judge.folder).requires_grad_(False), layout)
    return roles, reward


def frozen_outputs(roles: Roles, reward: Rewards) -> list[Tensor]:
    with roles.measuring():
        with adapter_active(roles.model, JUDGE):
            rewards = reward(PACK)
        with roles.as_reference():
            reference = roles.actor.spoken(PACK).logprobs
    return [rewards, reference]


def backward(roles: Roles) -> None:
    """As an update does it: the actor's losses, then the critic's."""
    assert roles.critic is not None
    roles.actor.statistics(PACK)[0].sum().backward()
    with roles.as_critic():
        (roles.critic(PACK) - 1).square().sum().backward()


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_a_step_moves_actor_and_critic_and_nothing_else(
    folder: Path, tmp_path: Path, precision: str
) -> None:
    roles, reward = four_roles(folder, tmp_path, precision)
    before = {name: one.detach().clone() for name, one in roles.named_parameters()}
    outputs = frozen_outputs(roles, reward)
    trained = [*roles.trained_of_actor(), *roles.trained_of_critic()]
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    roles.train()
    for _ in range(2):
        backward(roles)
        assert all(one.grad is not None for one in trained)
        optimizer.step()
        optimizer.zero_grad()
    changed = {name for name, one in roles.named_parameters() if not torch.equal(one, before[name])}
    assert changed == {name for name, one in roles.named_parameters() if one.requires_grad}
    assert {
        part
        for name in changed
        for part in (".default.", ".critic.", "critic.head.")
        if part in name
    } == {".default.", ".critic.", "critic.head."}
    assert not any(f".{JUDGE}." in name or ".reference." in name for name in changed)
    for found, expected in zip(frozen_outputs(roles, reward), outputs, strict=True):
        assert torch.equal(found, expected)


def test_what_is_trained_is_exactly_actor_critic_and_head(folder: Path, tmp_path: Path) -> None:
    roles, _ = four_roles(folder, tmp_path)
    wanted = {id(one) for one in (*roles.trained_of_actor(), *roles.trained_of_critic())}
    assert {id(one) for one in roles.parameters() if one.requires_grad} == wanted


def test_switching_changes_no_flag_inside_or_after(folder: Path, tmp_path: Path) -> None:
    """PEFT alone would freeze the actor as soon as the critic is active."""
    roles, _ = four_roles(folder, tmp_path)

    def flags() -> list[bool]:
        return [one.requires_grad for one in roles.parameters()]

    before = flags()
    for role in (roles.as_critic(), roles.as_reference(), adapter_active(roles.model, JUDGE)):
        with role:
            assert flags() == before
        assert flags() == before
        assert roles.model.active_adapter == "default"


def test_gradients_reach_one_role_at_a_time(folder: Path, tmp_path: Path) -> None:
    roles, _ = four_roles(folder, tmp_path)
    assert roles.critic is not None
    roles.actor.statistics(PACK)[0].sum().backward()
    assert all(one.grad is not None for one in roles.trained_of_actor())
    assert all(one.grad is None for one in roles.trained_of_critic())
    roles.zero_grad()
    with roles.as_critic():
        roles.critic(PACK).sum().backward()
    assert all(one.grad is None for one in roles.trained_of_actor())
    assert all(one.grad is not None for one in roles.trained_of_critic())


def test_the_critic_starts_as_the_scaled_reward_model(folder: Path, tmp_path: Path) -> None:
    """Of the state after an answer's last but one token, as the reward head would read it there."""
    roles, reward = four_roles(folder, tmp_path)
    assert roles.critic is not None
    roles.critic.head.put_on(Scale(mean=2.0, deviation=4.0))
    with roles.measuring(), roles.as_critic():
        values = roles.critic(PACK)
        hidden, predictors, _ = roles.critic.hidden(PACK)
        expected = (reward.head(hidden[predictors]) - 2) / 4
    torch.testing.assert_close(values, expected)
    with roles.measuring(), adapter_active(roles.model, JUDGE):
        assert torch.equal(reward.hidden(PACK)[0], hidden)


def test_a_fresh_critic_values_everything_at_zero(folder: Path) -> None:
    base = opened(folder)
    model = attach_lora(base, Lora(r=4))
    head = add_critic(base, model, None, seed=1)
    critic = Critic(model, choose_layout(model, "packed", 64), head)
    head.put_on(Scale(mean=3.0, deviation=2.0))
    with adapter_active(model, "critic"):
        assert not critic(PACK).any()


def test_the_temperature_is_that_of_sampling(folder: Path, tmp_path: Path) -> None:
    roles, _ = four_roles(folder, tmp_path)
    actor: Any = roles.actor
    with roles.measuring():
        spoken = actor.spoken(PACK)
        hidden, predictors, _ = actor.hidden(PACK)
        weight = actor.inner.get_output_embeddings().weight
        hot = head_logprobs(hidden[predictors], weight, PACK.targets, scale=1 / 0.7)
    torch.testing.assert_close(spoken.logprobs, hot)
    torch.testing.assert_close(spoken.plain, actor(PACK))
    assert (spoken.entropies > 0).all()
