"""Chat templates: what a model reads of a conversation, and what it is to write.

A replica renders the prompt with the tokenizer's own template, and the model writes the tokens of
its answer and then one that ends its turn. Training sees exactly that: the prompt as rendered, the
text of a completion, the end of the turn. What a template prints behind the end of a turn (ChatML:
a line break) is never written by a model, and no part of a completion.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from jinja2 import TemplateError

from training.engine.data.control_tokens import ControlTokens
from training.engine.data.report import Refused
from training.engine.errors import DataError

# The conversations over which a template's hash is taken, here and by the replicas.
PROBES: tuple[Sequence[Mapping[str, str]], ...] = (
    # Without a system message: some templates put one in themselves.
    ({"role": "user", "content": "Which colour has the sky?"},),
    (
        {"role": "user", "content": "Count: 1, 2, 3 …\n\n  <b>next</b>"},
        {"role": "assistant", "content": " 4"},
        {"role": "user", "content": "Grüße! 你好 👋 "},
    ),
)
# For tokenizers without a template: "User: Hi\n\nAssistant:", answered by " Hello".
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% else %}{{ message['role'].capitalize() + ': ' + message['content'] + '\n\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
REFUSED = "the chat template refuses the conversation"
NO_SYSTEM_ROLE = (
    "the chat template takes no system message (data.system_role: fold puts it into the user's "
    "first turn)"
)
NO_THOUGHT = (
    "a completion has no thought, and the prompt opens one (base.chat_template_kwargs, as "
    '{"enable_thinking": false}, makes the template ask for none)'
)

SystemRole = Literal["refuse", "fold"]

_ANSWER = "Blue it is: Ωmega 7"
_RULE = "Speak as Ωmega 7 does"
_THOUGHT_ENDS = "</think>"
# A prompt that leaves the model in the middle of a thought.
_OPEN = re.compile(r"<think>\s*\Z")
# What templates of reasoning models print in place of thoughts that they do not know.
_NO_THOUGHTS = re.compile(r"\s*(<think>)?\s*</think>\s*")
_USE_ANOTHER = (
    "Give the model a chat template as it is used by its authors for generation: as a file in "
    "base.chat_template, with settings for it in base.chat_template_kwargs."
)


class Chat:
    """A tokenizer's chat template.

    head: blanks that stand between the prompt and an answer (Llama 2: a space), mostly "".
    end: the token that ends the assistant's turn. thinks: prompts open a thought, which completions
    have to close. All are found by rendering known conversations. system_role: as given.
    """

    def __init__(self, tokenizer: Any, *, system_role: SystemRole = "refuse") -> None:
        """system_role: what becomes of a system message where the template has no place for it.

        Raises DataError for a template that cannot be trained with.
        """
        self.tokenizer = tokenizer
        self._template = None if tokenizer.chat_template else _plain(tokenizer)
        self.system_role = system_role
        self._control = ControlTokens(tokenizer)
        self.thinks = all(_OPEN.search(self._opened(probe)) for probe in PROBES)
        found = [self._around_answer(probe) for probe in PROBES]
        surroundings = {(self._head(before), self._end(behind)) for before, behind in found}
        if len(surroundings) > 1:
            raise DataError(
                "The chat template surrounds an answer differently in different conversations: "
                f"{found[0]!r} and {found[1]!r}.",
                advice=_USE_ANOTHER,
            )
        ((self.head, self.end),) = surroundings

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation with the start of the assistant's turn, special tokens as text.

        Control tokens within the messages are no control tokens any more. Raises Refused where the
        template refuses it.
        """
        turns: Sequence[Mapping[str, str]] = self._control.neutral(messages)
        if turns[0]["role"] == "system" and not self.takes_system:
            if self.system_role == "refuse" or len(turns) < 2:
                raise Refused(NO_SYSTEM_ROLE)
            turns = folded(turns)
        try:
            return self._render(turns, answered=False)
        except TemplateError as error:
            raise Refused(REFUSED, str(error)[:120]) from None

    def has_thought(self, text: str) -> bool:
        """Whether a whole completion closes the thought that the prompt opens, if it opens one."""
        return not self.thinks or _THOUGHT_ENDS in text

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message is part of what the model reads."""
        try:
            text = self._render([{"role": "system", "content": _RULE}, *PROBES[0]], answered=False)
        except TemplateError:
            return False
        return _RULE in text

    @cached_property
    def hash(self) -> str:
        """What the template makes of PROBES with this tokenizer, 64 hexadecimal digits."""
        ids = self.tokenizer(
            [self._render(probe, answered=False) for probe in PROBES], add_special_tokens=False
        )["input_ids"]
        text = ";".join(",".join(str(token) for token in tokens) for tokens in ids)
        return hashlib.sha256(text.encode()).hexdigest()

    def _render(self, messages: Sequence[Mapping[str, str]], *, answered: bool) -> str:
        # Without `tokenize` a text, whatever transformers makes the type of tokens.
        rendered: str = self.tokenizer.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=not answered,
            chat_template=self._template,
        )
        return rendered

    def _opened(self, messages: Sequence[Mapping[str, str]]) -> str:
        try:
            return self._render(messages, answered=False)
        except (TemplateError, ValueError, TypeError) as error:
            raise DataError(
                f"The chat template cannot be used: {error}.", advice=_USE_ANOTHER
            ) from error

    def _around_answer(self, messages: Sequence[Mapping[str, str]]) -> tuple[str, str]:
        """What is printed before an answer, from the end of the prompt on, and behind it.

        Of an answer whose thoughts are unknown templates print none, or empty ones: an open thought
        is no part of the prompt that is looked for.
        """
        prompt = self._opened(messages)
        if self.thinks:
            prompt = _OPEN.sub("", prompt)
        try:
            whole = self._render(
                [*messages, {"role": "assistant", "content": _ANSWER}], answered=True
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise DataError(
                f"The chat template cannot be used: {error}.", advice=_USE_ANOTHER
            ) from error
        if _ANSWER not in whole:
            raise DataError(
                "The chat template changes what the assistant says, or leaves it out.",
                advice=_USE_ANOTHER,
            )
        if not whole.startswith(prompt):
            raise DataError(
                f"The chat template opens the assistant's turn with {prompt[-40:]!r}, which an "
                "answered conversation does not have: prompts would differ from those served.",
                advice=_USE_ANOTHER,
            )
        head, _, tail = whole[len(prompt) :].rpartition(_ANSWER)
        return head, tail

    def _head(self, before: str) -> str:
        if self.thinks and not before.strip():
            # The blanks stand behind a thought, and the model writes them.
            return ""
        return _blanks(before)

    def _end(self, tail: str) -> tuple[int, ...]:
        """The first special token behind an answer; without one, that which ends a text.

        The model stops there when it is served. An encoder, which writes nothing, has a separator.
        """
        tokenizer = self.tokenizer
        ids = tokenizer(tail, add_special_tokens=False)["input_ids"] if tail else []
        special = _special_ids(tokenizer)
        first = next((place for place, token in enumerate(ids) if token in special), None)
        if first is not None and not tokenizer.decode(ids[:first]).strip():
            return (ids[first],)
        for ending in (tokenizer.eos_token_id, tokenizer.sep_token_id):
            if ending is not None:
                return (ending,)
        raise DataError(
            "The tokenizer has no token that ends a turn: neither in its chat template nor as "
            "eos_token.",
            advice="Set eos_token in its tokenizer_config.json.",
        )


def folded(messages: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The system message before the text of the first turn, as authors of such models say it."""
    system, first, *others = messages
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]


def template_hash(tokenizer: Any) -> str:
    """The same hash as a replica's that serves the model with this tokenizer.

    A tokenizer without a template is given PLAIN_TEMPLATE. Raises DataError.
    """
    return Chat(tokenizer).hash


def _plain(tokenizer: Any) -> str:
    """PLAIN_TEMPLATE after what the tokenizer itself puts in front of a text: BOS or [CLS]."""
    ids = tokenizer("a")["input_ids"]
    special = _special_ids(tokenizer)
    if not ids or ids[0] not in special:
        return PLAIN_TEMPLATE
    first: str = tokenizer.convert_ids_to_tokens(ids[0])
    return "{{ '" + first.replace("\\", "\\\\").replace("'", "\\'") + "' }}" + PLAIN_TEMPLATE


def _special_ids(tokenizer: Any) -> frozenset[int]:
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {n for n, token in added if token.special}


def _blanks(head: str) -> str:
    if _NO_THOUGHTS.fullmatch(head):
        # Printed for answers whose thoughts are unknown; a model that is asked writes its own.
        return ""
    if head.strip():
        raise DataError(
            f"The chat template has no generation prompt: before an answer it prints {head!r}, "
            "and a prompt ends without it.",
            advice=_USE_ANOTHER,
        )
    return head
