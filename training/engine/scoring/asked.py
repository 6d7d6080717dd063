"""Answers as groups for the reward model: each prompt, and each distinct answer to it, once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training.engine.data import Chat
from training.engine.data.chat import SystemRole
from training.engine.data.encoding import Encoder
from training.engine.data.fitting import Fitting
from training.engine.data.report import Refused
from training.engine.errors import DataError
from training.engine.groups import Group, Tokens
from training.engine.scoring.answers import Given

# Answers to one prompt that share its encoding; more would make packs of their own size.
TOGETHER = 16
# Nothing is cut off an answer: its last token is what the reward is read off.
WHOLE = 1_048_576

Answers = dict[Tokens, list[int]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A group, and of each of its answers the ids under which it was given."""

    group: Group
    ids: tuple[tuple[int, ...], ...]


def groups_of(
    given: Sequence[Given],
    tokenizer: Any,
    *,
    max_prompt_tokens: int,
    system_role: SystemRole = "refuse",
) -> list[Asked]:
    """Equal answers to a prompt have equal rewards then, whatever else is in their pack.

    max_prompt_tokens, system_role: as the reward model was trained; a longer prompt loses whole old
    turns, and one whose last turn alone is longer is read with that turn. Raises DataError for a
    conversation that the chat template refuses.
    """
    encoder = Encoder(
        Chat(tokenizer, system_role=system_role),
        max_prompt_tokens=max_prompt_tokens,
        max_completion_tokens=WHOLE,
    )
    fitting = Fitting(encoder, whole_last=True)
    prompts = fitting.fitted([one.messages for one in given])
    answers = encoder.completions([one.answer for one in given])
    found: dict[Tokens, Answers] = {}
    for one, prompt, answer in zip(given, prompts, answers, strict=True):
        if isinstance(prompt, Refused) or answer is None:
            why = str(prompt) if isinstance(prompt, Refused) else "it is too long"
            raise DataError(
                f"The answer {one.id} cannot be scored: {why}.",
                advice="Leave it out of answers.jsonl.",
            )
        found.setdefault(prompt.tokens, {}).setdefault(answer, []).append(one.id)
    return [
        Asked(Group(str(part[0][1][0]), prompt, tuple(text for text, _ in part)), _ids(part))
        for prompt, texts in found.items()
        for part in _parts(texts)
    ]


Part = list[tuple[Tokens, list[int]]]


def _parts(texts: Answers) -> Iterator[Part]:
    answers = list(texts.items())
    for start in range(0, len(answers), TOGETHER):
        yield answers[start : start + TOGETHER]


def _ids(part: Part) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(ids) for _, ids in part)
