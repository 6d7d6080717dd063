"""Which side of the split each prompt is on."""

from collections.abc import Iterable

from training.snapshots.duplicates import near_duplicates

TRAIN, HELD_OUT = "train", "held_out"


def held_out_prompts(prompts: Iterable[tuple[int, str, str]]) -> set[int]:
    """(prompt, split by its hash, text) -> the prompts that may not be trained on.

    Those held out by their hash, and all near-duplicates of them, and of these: so no side has a
    prompt whose twin is on the other.
    """
    texts: list[tuple[int, str]] = []
    barred: set[int] = set()
    for prompt, split, text in prompts:
        texts.append((prompt, text))
        if split == HELD_OUT:
            barred.add(prompt)
    groups = near_duplicates(texts)
    held = {groups[prompt] for prompt in barred}
    return {prompt for prompt, group in groups.items() if group in held}
