"""Tiny models with random weights and a byte-level tokenizer, made without any download."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertModel,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

KINDS = ("llama", "gpt2", "mistral", "phi", "qwen2", "gemma2", "bloom", "bert")
CAUSAL_KINDS = KINDS[:-1]
PAD, START, END, CLS, SEP = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "[CLS]", "[SEP]"
SPECIAL = (PAD, START, END, CLS, SEP)
VOCABULARY = 264  # 256 bytes, the special tokens, and a few rows that no token uses
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_tokenizer(*, encoder: bool = False) -> PreTrainedTokenizerFast:
    """A token for each byte, ChatML as in SmolLM2, a pad token that is not the end token.

    encoder: with [CLS] and [SEP], as BERT-class tokenizers have them.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    roles: dict[str, Any] = {"bos_token": START, "eos_token": END, "pad_token": PAD}
    if encoder:
        roles |= {"cls_token": CLS, "sep_token": SEP}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, chat_template=CHAT_TEMPLATE, model_max_length=1024, **roles
    )


def tiny_model(kind: str, *, seed: int = 0, **overrides: Any) -> Any:
    """Two layers in float32 of one of KINDS; overrides go to its config."""
    config, architecture = _architecture(kind, overrides)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = architecture(config)
    return model.float().eval()


def save_tiny(kind: str, folder: Path, *, seed: int = 0, **overrides: Any) -> Path:
    """A model folder as it comes from a hub: config, weights and tokenizer."""
    tiny_model(kind, seed=seed, **overrides).save_pretrained(folder)
    tiny_tokenizer(encoder=kind == "bert").save_pretrained(folder)
    return folder


def _architecture(kind: str, overrides: dict[str, Any]) -> tuple[Any, Callable[[Any], Any]]:
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": VOCABULARY}
    # Larger than usual, so that outputs of random weights differ visibly between tokens.
    spread = {"initializer_range": 0.1}
    sizes: dict[str, Any] = (
        ids
        | spread
        | {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 1024,
        }
    )
    grouped = sizes | {"num_key_value_heads": 2}
    match kind:
        case "llama":
            return LlamaConfig(**(grouped | overrides)), LlamaForCausalLM
        case "mistral":
            return MistralConfig(**(grouped | {"sliding_window": None} | overrides)), (
                MistralForCausalLM
            )
        case "qwen2":
            return Qwen2Config(**(grouped | overrides)), Qwen2ForCausalLM
        case "gemma2":
            window = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 64}
            return Gemma2Config(**(grouped | window | overrides)), Gemma2ForCausalLM
        case "phi":
            return PhiConfig(**(sizes | overrides)), PhiForCausalLM
        case "bert":
            return BertConfig(**(sizes | overrides)), BertModel
        case "bloom":  # positions are biases of the attention, which packs cannot have
            names = {"hidden_size": 32, "n_layer": 2, "n_head": 4}
            return BloomConfig(**(ids | spread | names | overrides)), BloomForCausalLM
        case "gpt2":
            names = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024}
            return GPT2Config(**(ids | spread | names | overrides)), GPT2LMHeadModel
    raise ValueError(f"no tiny model {kind!r}; there are {', '.join(KINDS)}")
