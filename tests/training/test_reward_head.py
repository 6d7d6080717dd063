"""The reward head: deterministic, in float32, and still there after saving and loading."""

from pathlib import Path

import pytest
import torch

from tests.training.tiny import save_tiny
from training.engine.adapters import attach_lora, load_adapter, read_adapter, save_adapter
from training.engine.base import load_base
from training.engine.errors import SpecError
from training.engine.reward_head import FILE, RewardHead, load_head, save_head
from training.engine.spec import Base, Lora, Precision

IDS = torch.arange(10, 50)[None]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_reward_is_the_product_with_the_weight() -> None:
    head = RewardHead(2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, -1.0]]))

    rewards = head(torch.tensor([[1.0, 2.0], [0.5, 0.0]], dtype=torch.bfloat16))

    assert torch.equal(rewards, torch.tensor([1.0, 1.5]))
    assert [name for name, _ in head.named_parameters()] == ["weight"]


def test_fresh_rewards_have_a_variance_near_one() -> None:
    hidden = torch.randn(4000, 512, generator=torch.Generator().manual_seed(0))
    assert 0.8 < RewardHead(512)(hidden).var().item() < 1.25


def test_a_seed_draws_the_same_head() -> None:
    state = torch.get_rng_state()
    assert torch.equal(RewardHead(8, seed=3).weight, RewardHead(8, seed=3).weight)
    assert not torch.equal(RewardHead(8, seed=3).weight, RewardHead(8, seed=4).weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_it_stays_float32_under_autocast() -> None:
    hidden = torch.randn(3, 64, dtype=torch.bfloat16)
    head = RewardHead(64)
    expected = head(hidden)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(hidden), expected)
    assert expected.dtype == torch.float32


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
@pytest.mark.parametrize("precision", list(Precision))
def test_a_trained_reward_model_gives_the_same_rewards_after_loading(
    kind: str, precision: Precision, tmp_path: Path
) -> None:
    spec = Base(model=str(save_tiny(kind, tmp_path / kind)), precision=precision)
    base = load_base(spec, kind="auto")
    model, head = attach_lora(base, Lora(r=4)), RewardHead(32)
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW([*weights, *head.parameters()], lr=0.02)
    for _ in range(3):
        states = model.get_base_model().base_model(IDS).last_hidden_state
        head(states[:, -1]).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    card = {
        "base": base.content_hash,
        "base_name": base.name,
        "method": "reward",
        "template": "",
        "spec": {},
    }
    save_adapter(model, tmp_path / "adapter", card=card, head=head)

    stored = read_adapter(tmp_path / "adapter")
    again = load_adapter(load_base(spec, kind="auto").model, stored)
    with torch.no_grad():
        expected = head(model.get_base_model().base_model(IDS).last_hidden_state)
        found = load_head(stored.folder)(again.get_base_model().base_model(IDS).last_hidden_state)

    assert stored.is_reward_model
    assert not torch.equal(head.weight, RewardHead(32).weight)
    assert torch.equal(found, expected)


def test_an_adapter_without_a_head_is_no_reward_model(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is no reward model"):
        load_head(tmp_path)


def test_a_broken_head_is_said(tmp_path: Path) -> None:
    save_head(RewardHead(8), tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-4])

    with pytest.raises(SpecError, match="cannot be read"):
        load_head(tmp_path)
