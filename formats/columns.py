"""Columns and keys that change what a row means, so that nobody may read past them.

Data files have more columns than any one reader. Most say something about a row (an id, a source),
and reading past them loses nothing but themselves. Those here change what was asked or what is to
be learned: a row in which one of them says something is refused by whoever does not read it.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

# Of a row: what a model was told beside the conversation, or would have been shown.
MEANINGFUL = frozenset(
    {
        "system",
        "system_prompt",
        "context",
        "documents",
        "documents_json",
        "history",
        "tools",
        "functions",
        "images",
        "image",
        "videos",
        "video",
        "audios",
        "audio",
        "reasoning_content",
        "thinking",
        "chat_template_kwargs",
    }
)
# Of a message: what was said beside its text, and how much it counts.
MEANINGFUL_IN_MESSAGES = frozenset(
    {
        "tool_calls",
        "function_call",
        "tools",
        "images",
        "image",
        "videos",
        "video",
        "audios",
        "audio",
        "reasoning_content",
        "reasoning",
        "thinking",
        "refusal",
        "weight",
    }
)
MESSAGE_KEYS = frozenset({"role", "content"})


def says_something(value: Any) -> bool:
    """Whether a value holds anything: not null, no blank text, no empty list or object."""
    if isinstance(value, str):
        return not value.isspace() and value != ""
    return value is not None and value not in ([], {})


def meaningful(row: Mapping[str, Any], read: Collection[str]) -> str | None:
    """A column of the row that says something, changes the row's meaning, and is not in `read`."""
    return next(
        (
            name
            for name, value in row.items()
            if name in MEANINGFUL and name not in read and says_something(value)
        ),
        None,
    )


def unread(row: Mapping[str, Any], read: Collection[str]) -> Iterator[str]:
    """Columns that say something and are not in `read`; keys of messages as "prompt.name".

    read: columns, and keys of the objects that a column lists, as "completions.text". Of objects
    none of whose keys are named there, a message's role and content are read.
    """
    for name, value in row.items():
        if not says_something(value):
            continue
        if name not in read:
            yield name
        elif isinstance(value, list):
            yield from sorted(
                {
                    path
                    for item in value
                    if isinstance(item, dict)
                    for key, said in item.items()
                    if key not in MESSAGE_KEYS
                    and (path := f"{name}.{key}") not in read
                    and says_something(said)
                }
            )
