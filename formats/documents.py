"""Context documents, and their place in a conversation."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from formats.conversation import Flaw, Message, Unreadable

Document = dict[str, str]


def documents(value: Any) -> list[Document]:
    """Documents of a column: a list of texts or of {title?, text}; null and "" are none.

    A JSON text of such a list will do, as Prefloop's own files have it. Raises Unreadable.
    """
    if value is None or value == "":
        return []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise Unreadable(Flaw.NOT_DOCUMENTS, str(error)) from None
    if not isinstance(value, list):
        raise Unreadable(Flaw.NOT_DOCUMENTS, type(value).__name__)
    return [_document(item, number) for number, item in enumerate(value, start=1)]


def _document(item: Any, number: int) -> Document:
    title: Any = ""
    text = item
    if isinstance(item, dict):
        title, text = item.get("title") or "", item.get("text")
    if not isinstance(text, str) or not isinstance(title, str):
        raise Unreadable(Flaw.BAD_DOCUMENT, number=number)
    if not text.strip():
        raise Unreadable(Flaw.EMPTY_DOCUMENT, number=number)
    return {"title": title, "text": text}


def with_documents(
    turns: Sequence[Mapping[str, str]], documents: Sequence[Mapping[str, str]]
) -> list[Message]:
    """The conversation as models are asked and trained: documents before the last turn, once.

    Exported rankings have them in their prompt already, and in documents_json as well; such a
    prompt is left as it is.
    """
    if not documents:
        return [dict(turn) for turn in turns]
    context = "\n\n".join(f"{each['title']}\n{each['text']}".strip() for each in documents)
    last = turns[-1]
    if last["content"].startswith(f"{context}\n\n"):
        return [dict(turn) for turn in turns]
    told = {**last, "content": f"{context}\n\n{last['content']}"}
    return [*(dict(turn) for turn in turns[:-1]), told]
