"""Which prompts are trained on, and which only measured on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from training.engine.data.report import Drops

EVALUATED = "the prompt is evaluated on (its file is one of the evaluation files)"
KEPT_OUT = "held out by its split, and evaluation files are given"

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Placed(Generic[Item]):
    """Something to train or to measure on. held_out: by its row; None if the row does not tell."""

    where: str
    item: Item
    prompt_hash: bytes
    held_out: bool | None


def either(one: bool | None, other: bool | None) -> bool | None:
    """Held out if one of two rows says so; None if neither tells."""
    if one is None or other is None:
        return other if one is None else one
    return one or other


def divide(
    placed: Sequence[Placed[Item]], fraction: float
) -> tuple[list[Placed[Item]], list[Placed[Item]]]:
    """For training, for evaluation; a prompt is on one side with all its rows.

    A prompt that any row holds out is held out. If no row does, prompts are held out by their hash:
    a larger `fraction` holds out the same prompts and more. If some do, a row that says "train" is
    believed, and the hash decides only of rows that do not tell.
    """
    named = {one.prompt_hash for one in placed if one.held_out}
    believed = {one.prompt_hash for one in placed if named and one.held_out is False}
    train: list[Placed[Item]] = []
    evaluation: list[Placed[Item]] = []
    for one in placed:
        key = one.prompt_hash
        out = key in named or (key not in believed and _position(key) < fraction)
        (evaluation if out else train).append(one)
    return train, evaluation


def without_evaluated(
    placed: Sequence[Placed[Item]], evaluated: Collection[bytes], drops: Drops
) -> list[Placed[Item]]:
    """What may be trained on beside evaluation files: nothing held out, no prompt of theirs."""
    named = {one.prompt_hash for one in placed if one.held_out}
    left = []
    for one in placed:
        if one.prompt_hash in evaluated:
            drops.add(one.where, EVALUATED)
        elif one.prompt_hash in named:
            drops.add(one.where, KEPT_OUT)
        else:
            left.append(one)
    return left


def _position(prompt_hash: bytes) -> float:
    """Where a prompt lies, even over 0 to 1."""
    return int.from_bytes(prompt_hash[:6], "big") / 2**48
