"""Rows of single completions that were called good or not: {prompt, completion, label}.

KTO's own format, as TRL has it: label is true for a desirable completion, false for another. As
with demonstrations {messages: [..., assistant], label} will do.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from formats.conversation import messages
from training.engine.data.demonstration_rows import WEIGHTED, whole
from training.engine.data.drafts import NO_TOKENS, TOO_LONG, Draft
from training.engine.data.examples import Answer, Example, held_out
from training.engine.data.formats import Format, columns, prompt_of
from training.engine.data.report import Drops, Refused
from training.engine.data.rows import Row
from training.engine.groups import Group, Tokens

NO_UNPAIRED = "row has no label, or neither messages nor prompt and completion"
NO_ANSWER = "the conversation does not end with the assistant's turn"
BAD_LABEL = "the label is neither true nor false"


@dataclass(frozen=True, slots=True)
class Labeled:
    """prompt, completion: token ids as in a Group. key: where its row stands.

    desirable: what somebody said of the completion alone, compared with nothing.
    """

    key: str
    prompt: Tokens
    completion: Tokens
    desirable: bool

    @property
    def group(self) -> Group:
        """As a group of one completion, of which log-probabilities can be computed."""
        return Group(self.key, self.prompt, (self.completion,))


def read_unpaired(row: Row) -> tuple[Example]:
    """Raises Refused, Unreadable."""
    values = row.values
    complete = "messages" in values or {"prompt", "completion"} <= values.keys()
    if "label" not in values or not complete:
        raise Refused(NO_UNPAIRED, f"columns {', '.join(values)}"[:120])
    label = values["label"]
    if type(label) is not bool:
        raise Refused(BAD_LABEL, repr(label)[:40])
    if values.get("weight", 1) != 1:
        raise Refused(WEIGHTED, repr(values["weight"])[:40])
    turns = messages(values["messages"], role="user") if "messages" in values else whole(values)
    if not turns or turns[-1]["role"] != "assistant":
        raise Refused(NO_ANSWER)
    answer = Answer(turns[-1]["content"], values.get("finish_reason") == "length")
    told = prompt_of(turns[:-1], values)
    return (Example(row.where, told, (answer,), held_out=held_out(values), desirable=label),)


UNPAIRED = Format(
    read_unpaired, columns("messages", "completion", "label", "weight", "finish_reason")
)


def labeled(drafts: Iterable[Draft], drops: Drops) -> Iterator[Labeled]:
    """The drafts that hold a single completion with its label."""
    for draft in drafts:
        row = draft.first
        if row.desirable is None:
            continue
        (completion,) = row.completions
        if completion:
            yield Labeled(row.where, row.prompt, completion, row.desirable)
        else:
            reason = TOO_LONG if completion is None else NO_TOKENS
            drops.add(row.where, reason, unit="completions")
