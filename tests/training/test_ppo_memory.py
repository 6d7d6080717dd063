"""The memory estimate of PPO: what its roles add to a run of DPO, worked by hand."""

from typing import Any

from transformers import LlamaConfig

from tests.training.trl_runs import make_spec
from training.engine.memory.estimate import MemoryEstimate, estimate, lora_parameters
from training.engine.memory.shape import ModelShape

SHAPE = ModelShape.from_config(
    LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=1000,
    )
)
DATA = {"demonstrations": ["a"], "max_prompt_tokens": 100}


def needed(method: str = "ppo", **sections: Any) -> MemoryEstimate:
    ppo = {"rewards": ["a/b"], "max_new_tokens": 28, **sections.pop("ppo", {})}
    own = {"ppo": ppo} if method == "ppo" else {}
    data = DATA if method == "ppo" else {"rankings": ["a"]}
    return estimate(SHAPE, make_spec(method, "model", data, **own, **sections))


def bytes_of(found: MemoryEstimate, part: str) -> int:
    return sum(row.bytes for row in found.rows if row.part.startswith(part))


def test_actor_and_critic_are_trained_and_the_reward_model_is_held() -> None:
    spec = make_spec("dpo", "model", {"rankings": ["a"]})
    one = lora_parameters(SHAPE, spec)
    head = 64
    found = needed()
    assert bytes_of(found, "LoRA") == 4 * (3 * one + head)
    assert bytes_of(found, "gradients") == 4 * (2 * one + head)
    assert bytes_of(found, "optimizer") == 8 * (2 * one + head)
    assert bytes_of(needed("dpo"), "LoRA") == 4 * one
    assert bytes_of(needed(ppo={"baseline": "rloo", "samples": 2}), "optimizer") == 8 * one
    assert bytes_of(needed(ppo={"rewards": ["a:b"]}), "LoRA") == 4 * (2 * one + head)


def test_only_one_role_keeps_activations_at_a_time() -> None:
    assert bytes_of(needed(), "activations") == bytes_of(needed("dpo"), "activations")


def test_rollouts_keep_keys_and_values_unless_a_server_does() -> None:
    # 2 tensors x 2 layers x 32 features x 4 bytes, of 2 x 3 answers of 128 tokens
    found = needed(ppo={"samples": 3})
    assert bytes_of(found, "KV cache") == 512 * 6 * 128
    # Four packs of 256 tokens hold 8 answers.
    tight = {"groups_per_step": 64, "tokens_per_pack": 256}
    assert bytes_of(needed(training=tight), "KV cache") == 512 * 8 * 128
    assert not bytes_of(needed(ppo={"server": "http://127.0.0.1:8000"}), "KV cache")
