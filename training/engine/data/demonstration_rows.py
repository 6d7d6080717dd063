"""Rows of demonstrations: {messages: [..., assistant]}, or {prompt, completion}.

Every turn of the assistant's that answers the user's is an example of its own, with all that was
said before as its prompt. A row may say that sampling ended its answer (finish_reason "length").
`label` true is a row of KTO's that is desirable; false is nothing to imitate.
"""

from typing import Any

from formats.conversation import Messages, asked, messages
from formats.echo import echo
from training.engine.data.examples import Answer, Example, held_out
from training.engine.data.formats import Format, columns, prompt_of, refuse_repeated
from training.engine.data.report import Refused
from training.engine.data.rows import Row

NO_DEMONSTRATION = "row is no demonstration; it has neither messages nor prompt and completion"
NO_ANSWER = "the conversation does not end with the assistant's turn"
EMPTY = "a demonstrated completion is empty"
UNDESIRABLE = "label is not true: such a completion is none to imitate (KTO: data.unpaired)"
WEIGHTED = "the weight is not 1, and demonstrations have no weights"


def read_demonstration(row: Row) -> tuple[Example]:
    """The last answer of the row. Raises Refused, Unreadable."""
    return (read_turns(row)[-1],)


def read_turns(row: Row) -> list[Example]:
    """An example for each turn of the assistant's that can be learned, the last one last.

    A turn that follows no turn of the user's (a greeting) is only part of the prompts behind it.
    Raises Refused, Unreadable.
    """
    values = row.values
    turns = _turns(row)
    if not turns or turns[-1]["role"] != "assistant":
        raise Refused(NO_ANSWER)
    if values.get("label", True) is not True:
        raise Refused(UNDESIRABLE, repr(values["label"])[:40])
    if values.get("weight", 1) != 1:
        raise Refused(WEIGHTED, repr(values["weight"])[:40])
    # The documents belong to the last question, where models are asked with them.
    told = prompt_of(turns[:-1], values)
    turns = [*told, turns[-1]]
    answers = [
        place
        for place, turn in enumerate(turns)
        if turn["role"] == "assistant" and place and turns[place - 1]["role"] == "user"
    ]
    if not all(turns[place]["content"].strip() for place in answers):
        raise Refused(EMPTY)
    cut_off = values.get("finish_reason") == "length"
    out = held_out(values)
    return [
        Example(
            row.where,
            turns[:place],
            (Answer(turns[place]["content"], cut_off and place == len(turns) - 1),),
            held_out=out,
        )
        for place in answers
    ]


def _turns(row: Row) -> Messages:
    values = row.values
    if "messages" in values:
        return messages(values["messages"], role="user")
    if "prompt" not in values or "completion" not in values:
        raise Refused(NO_DEMONSTRATION, echo(f"columns {', '.join(values)}", 120))
    return whole(values)


def whole(values: dict[str, Any]) -> Messages:
    """The conversation of a row with prompt and completion. Raises Refused, Unreadable."""
    refuse_repeated(values["prompt"], (values["completion"],))
    told = asked(values["prompt"])
    answer = messages(values["completion"], role="assistant")
    # As in files of pairs, messages may repeat the prompt in front of the answer.
    return answer if answer[: len(told)] == told else told + answer


_COLUMNS = columns("messages", "completion", "label", "weight", "finish_reason")
_ABOUT = frozenset({"task_id", "prompt_id", "round", "labeler", "ranking"})

DEMONSTRATIONS = Format(read_demonstration, _COLUMNS, _ABOUT)
CONVERSATIONS = Format(read_turns, _COLUMNS, _ABOUT)
