import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.exchange.prompts import STANDARD, Limits, ParsedPrompt, Problem, read_prompts

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1
).filter(str.strip)


def only(text: str | bytes, limits: Limits = STANDARD) -> ParsedPrompt | Problem:
    (row,) = read_prompts(text, "jsonl", limits)
    return row


def prompt(row: dict[str, object]) -> ParsedPrompt:
    read = only(json.dumps(row))
    assert isinstance(read, ParsedPrompt), read
    return read


def reason(text: str | bytes | Mapping[str, object], limits: Limits = STANDARD) -> str:
    read = only(json.dumps(text) if isinstance(text, Mapping) else text, limits)
    assert isinstance(read, Problem), read
    assert read.line == 1
    return read.reason


def turns(*roles: str) -> dict[str, object]:
    return {"messages": [{"role": role, "content": "text"} for role in roles]}


def test_a_text_becomes_the_users_message() -> None:
    read = prompt({"prompt": "Name three rivers.", "id": 7, "tags": "geo; short;geo", "foo": 1})

    assert read.messages == [{"role": "user", "content": "Name three rivers."}]
    assert (read.external_id, read.tags, read.source, read.line) == ("7", ["geo", "short"], "", 1)


def test_a_conversation_with_documents() -> None:
    read = prompt(
        turns("system", "user", "assistant", "user")
        | {
            "documents": ["plain", {"title": "T", "text": "with a title"}],
            "tags": ["a"],
            "external_id": "x-1",
            "source": "Gmail",
        }
    )

    assert read.messages[0] == {"role": "system", "content": "text"}
    assert read.documents == [
        {"title": "", "text": "plain"},
        {"title": "T", "text": "with a title"},
    ]
    assert (read.external_id, read.source) == ("x-1", "Gmail")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "'; DROP TABLE annotate_prompt; --",
        "  blanks around, \t tabs\r\nand both line ends\u2028\u2029\x85 ",
        "{{ 7 * 7 }} ${7*7} %s %(x)s \\u0041",
        "👩‍👩‍👧 العربية e\u0301",
    ],
)
def test_texts_are_kept_verbatim(text: str) -> None:
    assert prompt({"prompt": text}).messages[0]["content"] == text


@given(
    st.lists(TEXTS, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans()
)
def test_what_was_written_is_read(texts: list[str], end: str, ascii: bool) -> None:
    file = end.join(json.dumps({"prompt": text}, ensure_ascii=ascii) for text in texts)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        rows = list(read_prompts(io.BytesIO(file.encode(encoding)), "jsonl"))
        assert [
            row.messages[0]["content"] for row in rows if isinstance(row, ParsedPrompt)
        ] == texts
        assert [row.line for row in rows] == list(range(1, len(texts) + 1))


@given(st.binary())
def test_no_bytes_break_it(data: bytes) -> None:
    for format in ("jsonl", "csv"):
        rows = list(read_prompts(data, format))
        assert rows
        for row in rows:
            if isinstance(row, Problem):
                row.excerpt.encode()
                assert row.reason.endswith(".")


def test_the_shipped_example_is_read(example_prompts: Path) -> None:
    with example_prompts.open("rb") as file:
        rows = list(read_prompts(file, "jsonl"))
    assert len(rows) == 40
    assert all(isinstance(row, ParsedPrompt) and row.source for row in rows)


def test_everything_good_is_kept_and_line_numbers_are_those_of_the_file() -> None:
    file = b'\n{"prompt": "one"}\n\nnonsense\n{"prompt": "caf\xe9"}\n{"prompt": "two"}\n[1]\n'
    rows = list(read_prompts(file, "jsonl"))

    assert [(type(row), row.line) for row in rows] == [
        (ParsedPrompt, 2),
        (Problem, 4),
        (Problem, 5),
        (ParsedPrompt, 6),
        (Problem, 7),
    ]


@pytest.mark.parametrize("file", [b"", b"\n \n", "", b"\xef\xbb\xbf"])
def test_an_empty_file_says_so(file: bytes | str) -> None:
    assert reason(file).startswith("The file has no prompts.")


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"PK\x03\x04rest", "zip archive or an Excel workbook"),
        (b"\x1f\x8b\x08rest", "compressed with gzip"),
        (b"PAR1rest", "Parquet"),
        ('{"prompt": "a"}'.encode("utf-32"), "UTF-32"),
        ('{"prompt": "a"}'.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ('{"prompt": "a"}'.encode("utf-16-be"), "UTF-16 without a byte order mark"),
    ],
)
def test_a_file_that_is_no_text_is_refused_as_a_whole(start: bytes, says: str) -> None:
    assert says in reason(start)


def test_a_byte_that_is_not_utf8_is_named() -> None:
    assert reason(b'{"prompt": "caf\xe9"}').startswith("Byte 16 of the line (0xE9) is not UTF-8.")


def test_half_a_character_at_the_end_of_utf16_is_refused() -> None:
    file = '{"prompt": "a"}\n{"prompt": "b"}'.encode("utf-16")[:-1]
    good, bad = read_prompts(file, "jsonl")
    assert isinstance(good, ParsedPrompt)
    assert isinstance(bad, Problem)


def test_half_a_character_is_refused() -> None:
    assert "U+D83D" in reason('{"prompt": "\\ud83d"}')
    assert "U+D83D" in reason('{"prompt": "\ud83d"}'.encode("utf-16", "surrogatepass"))
    assert "U+D83D" in reason('{"prompt": "\ud83d"}')


@pytest.mark.parametrize("key", ["prompt", "id", "source", "tags"])
def test_nul_is_refused_wherever_it_stands(key: str) -> None:
    assert "NUL character" in reason({"prompt": "text"} | {key: "a\x00b"})


def test_nul_and_half_characters_do_not_reach_the_excerpt() -> None:
    row = only('{"no": "a\x00\ud83d' + "x" * 200)
    assert isinstance(row, Problem)
    assert row.excerpt.startswith('{"no": "a␀⟨U+D83D⟩x')
    assert len(row.excerpt) == 120


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "Not valid JSON at character 1"),
        ('{"prompt": "a"', "Not valid JSON at character 15"),
        ('{"prompt": "a"} {"prompt": "b"}', "Extra data"),
        ('"just text"', "not a JSON object"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"prompt": "a", "prompt": "b"}', 'The key "prompt" is there twice'),
        ('{"messages": [{"role": "user", "role": "user"}]}', 'The key "role" is there twice'),
        ('{"prompt": "a", "id": NaN}', "NaN is not valid JSON"),
        ('{"prompt": "a", "id": ' + "9" * 5000 + "}", "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"x":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_refused(text: str, says: str) -> None:
    assert says in reason(text)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "The row has no prompt."),
        ({"prompt": None}, "The row has no prompt."),
        ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, 'both "messages" and'),
        ({"prompt": 5}, '"prompt" must be a text or a list'),
        ({"prompt": ""}, "Message 1 (user) is empty"),
        ({"prompt": " \n"}, "Message 1 (user) is empty"),
        ({"messages": []}, "no messages"),
        ({"messages": ["hello"]}, "Message 1 must be an object"),
        ({"messages": [{"content": "a"}]}, "Message 1 has the role null"),
        ({"messages": [{"role": "human", "content": "a"}]}, "has the role human"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, 'has the role ["user"]'),
        ({"messages": [{"role": "user"}]}, '"content" must be a text'),
        ({"messages": [{"role": "user", "content": ["a"]}]}, '"content" must be a text'),
        (turns("user", "assistant"), "The last message must be the user's"),
        (turns("system"), "The last message must be the user's"),
        (turns("assistant", "user"), "Message 1 is by the assistant"),
        (turns("system", "user", "user"), "Message 3 is by the user"),
        (turns("system", "system", "user"), "A system message may only stand first"),
        (turns("user", "system", "user"), "A system message may only stand first"),
        ({"prompt": "a", "documents": "text"}, '"documents" must be a list'),
        ({"prompt": "a", "documents": [{"title": "t"}]}, "Document 1 must be a text or"),
        ({"prompt": "a", "documents": ["a", " "]}, "Document 2 is empty"),
        ({"prompt": "a", "tags": {"a": 1}}, '"tags" must be a list'),
        ({"prompt": "a", "tags": [1]}, '"tags" must be a list'),
        ({"prompt": "a", "tags": ["x" * 81]}, '"tag" has 81 characters'),
        ({"prompt": "a", "id": [1]}, '"id" must be a text or a whole number'),
        ({"prompt": "a", "id": True}, '"id" must be a text or a whole number'),
        ({"prompt": "a", "id": "x" * 201}, '"id" has 201 characters'),
    ],
)
def test_what_is_no_prompt_is_refused(row: dict[str, object], says: str) -> None:
    assert says in reason(row)


def test_calls_of_tools_are_refused() -> None:
    message = {"role": "user", "content": "a", "tool_calls": [{"id": 1}]}
    assert "calls tools" in reason({"messages": [message]})


def test_limits() -> None:
    small = Limits(characters=10, messages=3, documents=1, tags=1)
    assert "has 11 characters; at most 10" in reason({"prompt": "x" * 11}, small)
    assert "has 12 characters; at most 10" in reason(
        {"prompt": "x", "documents": ["y" * 11]}, small
    )
    assert "has 4 messages" in reason(turns("system", "user", "assistant", "user"), small)
    assert "There are 2 documents" in reason({"prompt": "x", "documents": ["a", "b"]}, small)
    assert "There are 2 tags" in reason({"prompt": "x", "tags": ["a", "b"]}, small)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_reading_does_not_depend_on_how_the_bytes_arrive(size: int) -> None:
    file = '{"prompt": "é one"}\r\n\r\n{"prompt": "two"}\r{"prompt": "3"}\nbad\r\n'.encode()

    class Dripping(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            return super().read(size)

    assert list(read_prompts(Dripping(file), "jsonl")) == list(read_prompts(file, "jsonl"))


def test_an_overlong_line_is_refused_and_the_next_one_read() -> None:
    small = Limits(line_bytes=1000)
    long = '{"prompt": "' + "x" * 300_000 + '"}'
    for end in ("\n", "\r\n", "\r"):
        rows = list(read_prompts(long + end + '{"prompt": "a"}' + end + long, "jsonl", small))
        assert [(type(row), row.line) for row in rows] == [
            (Problem, 1),
            (ParsedPrompt, 2),
            (Problem, 3),
        ]
        assert isinstance(rows[0], Problem)
        assert rows[0].reason.startswith("The line is longer than 1,000 bytes.")


def test_many_keys_of_which_two_are_the_same() -> None:
    """171 kB took 4 s and 523 kB 36.6 s: each key was counted in all of them."""
    for keys in (17_100, 52_300):
        pairs = ", ".join(f'"k{number}": 1' for number in range(keys))
        (problem,) = read_prompts(f'{{{pairs}, "k{keys - 1}": 2}}', "jsonl")
        assert isinstance(problem, Problem)
        assert problem.reason == f'The key "k{keys - 1}" is there twice. Keep one of them.'


@pytest.mark.parametrize("deep", ["[" * 254 + "]" * 254, '{"a":' * 254 + "1" + "}" * 254])
def test_what_is_nested_too_deeply(deep: str) -> None:
    (problem,) = read_prompts(f'{{"prompt": "Q", "more": {deep}}}', "jsonl")
    assert isinstance(problem, Problem)
    assert "nested too deeply" in problem.reason
