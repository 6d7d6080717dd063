"""`python -m tests.benchmarks.swap_adapters MODEL FOLDER…`: adapters that answer with one word.

Each learns in a few steps to answer whatever it is asked with the name of its folder, so that its
greedy answers are known, differ from all others', and do not hang on rounding.
"""

import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from tests.benchmarks.swap_prompts import PROMPTS

STEPS = 24
LEARNING_RATE = 2e-3
SURE = 0.02  # mean loss at which the word is as good as certain
IGNORED = -100


def rows(tokenizer: PreTrainedTokenizerBase, word: str) -> dict[str, torch.Tensor]:
    """Every prompt answered by the word: (prompts, tokens) each; the prompt is not learned."""
    encoded = []
    for prompt in PROMPTS:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
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
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
    adapted = get_peft_model(base, config)
    batch = rows(AutoTokenizer.from_pretrained(model), folder.name)
    trained = [each for each in adapted.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE)
    for step in range(STEPS):
        loss = adapted(**batch).loss
        if loss.item() < SURE:
            adapted.save_pretrained(str(folder))
            print(f"{folder.name}: learned in {step} steps, loss {loss.item():.3f}", flush=True)
            return
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    raise RuntimeError(f"{folder.name} was not learned in {STEPS} steps: loss {loss.item():.3f}")


if __name__ == "__main__":
    for name in sys.argv[2:]:
        make(sys.argv[1], Path(name))
