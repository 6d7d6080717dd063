"""Adapters for the benchmark `swap` that answer with one word, trained in a process of their own.

Each learns in a few steps to answer whatever it is asked with the name of its folder, so that its
greedy answers are known, differ from all others', and do not hang on rounding.
"""

import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from tests.benchmarks.swap_prompts import PROMPTS, messages_of

STEPS = 40
LEARNING_RATE = 5e-3
LAST_LAYERS = 4  # are enough, and nothing before them is computed backwards
SURE = 0.02  # mean loss at which the word is as good as certain
IGNORED = -100


def rows(tokenizer: PreTrainedTokenizerBase, word: str) -> dict[str, torch.Tensor]:
    """Every prompt answered by the word: (prompts, tokens) each; the prompt is not learned."""
    encoded = []
    for prompt in PROMPTS:
        text = tokenizer.apply_chat_template(
            messages_of(prompt), tokenize=False, add_generation_prompt=True
        )
        asked = tokenizer.encode(text, add_special_tokens=False)
        said = tokenizer.encode(f"{word}<|im_end|>", add_special_tokens=False)
        encoded.append((asked + said, [IGNORED] * len(asked) + said))
    longest = max(len(tokens) for tokens, _ in encoded)
    ids = torch.zeros(len(encoded), longest, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for row, (tokens, targets) in enumerate(encoded):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, : len(targets)] = torch.tensor(targets)
        mask[row, : len(tokens)] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def make(model: str, folder: Path) -> None:
    """Raises RuntimeError when the word was not learned."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    layers = base.config.num_hidden_layers
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=list(range(layers - LAST_LAYERS, layers)),
    )
    adapted = get_peft_model(base, config)
    batch = rows(AutoTokenizer.from_pretrained(model), folder.name)
    trained = [each for each in adapted.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE)
    for step in range(STEPS):
        loss = adapted(**batch).loss
        print(f"{folder.name}: step {step}, loss {loss.item():.3f}", flush=True)
        if loss.item() < SURE:
            adapted.save_pretrained(str(folder))
            return
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    raise RuntimeError(f"{folder.name} was not learned in {STEPS} steps: loss {loss.item():.3f}")


def main() -> None:
    """Arguments: the folder of the model, and a folder for each adapter, named by its word."""
    for name in sys.argv[2:]:
        make(sys.argv[1], Path(name))
