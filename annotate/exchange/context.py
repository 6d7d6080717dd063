"""Context documents as part of the conversation."""

from collections.abc import Mapping, Sequence


def with_documents(
    messages: Sequence[Mapping[str, str]], documents: Sequence[Mapping[str, str]]
) -> list[Mapping[str, str]]:
    """The conversation as models are asked and trained: documents before the last user turn."""
    if not documents:
        return list(messages)
    context = "\n\n".join(f"{each['title']}\n{each['text']}".strip() for each in documents)
    last = messages[-1]
    return [*messages[:-1], {**last, "content": f"{context}\n\n{last['content']}"}]
