"""Rows of demonstrations: {messages: [..., assistant]}, or {prompt, completion}.

Only the last answer is learned from; those before it are part of its prompt.
"""

from training.engine.data import conversations
from training.engine.data.conversations import Messages
from training.engine.data.examples import Answer, Example, held_out
from training.engine.data.report import Refused
from training.engine.data.rows import Row

NO_DEMONSTRATION = "row is no demonstration; it has neither messages nor prompt and completion"
NO_ANSWER = "the conversation does not end with the assistant's turn"
EMPTY = "the demonstrated completion is empty"


def read_demonstration(row: Row) -> Example:
    """Raises Refused."""
    turns = _turns(row)
    if not turns or turns[-1]["role"] != "assistant":
        raise Refused(NO_ANSWER)
    answer = turns[-1]["content"]
    if not answer.strip():
        raise Refused(EMPTY)
    asked = conversations.prompt(turns[:-1])
    return Example(row.where, asked, (Answer(answer),), held_out=held_out(row.values))


def _turns(row: Row) -> Messages:
    values = row.values
    if "messages" in values:
        return conversations.messages(values["messages"], role="user")
    if "prompt" not in values or "completion" not in values:
        raise Refused(NO_DEMONSTRATION, f"columns {', '.join(values)}"[:120])
    asked = conversations.messages(values["prompt"], role="user")
    return asked + conversations.messages(values["completion"], role="assistant")
