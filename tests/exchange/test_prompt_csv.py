import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.exchange.csv_records import MAX_UNCLOSED
from annotate.exchange.prompts import STANDARD, Limits, ParsedPrompt, Problem, read_prompts

CELLS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1
).filter(str.strip)


def read(text: str | bytes, limits: Limits = STANDARD) -> list[ParsedPrompt | Problem]:
    return list(read_prompts(text, "csv", limits))


def outline(rows: list[ParsedPrompt | Problem]) -> list[tuple[int, str]]:
    """Line and text of each prompt; line and the reason's first words of each problem."""
    return [
        (row.line, row.messages[-1]["content"] if isinstance(row, ParsedPrompt) else row.reason)
        for row in rows
    ]


def test_columns_in_any_order() -> None:
    (row,) = read(
        'Tags,id,Prompt,comment,system,source\nmath;hard,17,"1 + 1, is?",ignored,Be brief.,web\n'
    )
    assert isinstance(row, ParsedPrompt)
    assert row.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 1, is?"},
    ]
    assert (row.tags, row.external_id, row.source) == (["math", "hard"], "17", "web")


@given(st.lists(CELLS, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read_verbatim_with_its_line(texts: list[str], end: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
        [["prompt", "id"], *([text, "x"] for text in texts)]
    )
    lines, line = [], 2
    for text in texts:
        lines.append(line)
        inner = text.replace("\r\n", "\n").replace("\r", "\n").count("\n")
        line += inner + 1

    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        rows = read(file.getvalue().encode(encoding))
        assert outline(rows) == list(zip(lines, texts, strict=True))


def test_line_breaks_in_fields_and_blank_rows() -> None:
    rows = read('prompt,id\n"one\ntwo\r\nthree",1\n\n,\n  ,  \n"four ""4""",2\nfive\n')

    assert outline(rows)[:2] == [(2, "one\ntwo\r\nthree"), (8, 'four "4"')]
    assert rows[2].line == 9
    assert isinstance(rows[2], Problem)
    assert rows[2].reason.startswith("The row has 1 fields, but the header names 2")


def test_stray_quotes_inside_plain_fields_are_text() -> None:
    assert outline(read('prompt\n5" pipe\n6" pipe\n')) == [(2, '5" pipe'), (3, '6" pipe')]


def test_an_undoubled_quote_costs_its_record_only() -> None:
    rows = read('prompt\ngood\n"He said "hi" to me\nand left"\n"next\none"\n')

    assert outline([rows[0], rows[2]]) == [(2, "good"), (5, "next\none")]
    assert isinstance(rows[1], Problem)
    assert rows[1].line == 3
    assert "Double the quotes inside the text" in rows[1].reason
    assert rows[1].excerpt == '"He said "hi" to me'


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest() -> None:
    rows = read('prompt\n"open\n' + "".join(f"row {n}\n" for n in range(5)))

    assert isinstance(rows[0], Problem)
    assert (rows[0].line, rows[0].excerpt) == (2, '"open')
    assert "never closed" in rows[0].reason
    assert outline(rows[1:]) == [(3 + n, f"row {n}") for n in range(5)]


def test_an_unclosed_quote_in_a_huge_file_is_found_in_bounded_memory() -> None:
    lines = "".join(f"row {n}\n" for n in range(2000))
    rows = read('prompt\n"open\n' + lines, Limits(line_bytes=1000))

    assert "never closed" in outline(rows)[0][1]
    assert outline(rows)[1:] == [(3 + n, f"row {n}") for n in range(2000)]


def test_reading_ends_after_too_many_unclosed_quotes() -> None:
    # Ever longer records keep each of the first lines open for itself.
    text = "prompt\n" + ('"open\n' + "row\n" * 300) * 101
    rows = read(text, Limits(line_bytes=1000))

    unclosed = [row for row in rows if isinstance(row, Problem)]
    assert len(unclosed) == MAX_UNCLOSED + 1
    assert "the rest of the file was not read" in unclosed[-1].reason


def test_an_overlong_line_inside_a_quoted_field_costs_its_record_only() -> None:
    text = 'prompt\n"start\n' + "x" * 5000 + '\nstill inside"\n"after\nit"\n'
    rows = read(text, Limits(line_bytes=1000))

    assert [row.line for row in rows] == [2, 5]
    assert "longer than 1,000 bytes" in outline(rows)[0][1]
    assert outline(rows)[1] == (5, "after\nit")


def test_a_wrong_byte_inside_a_quoted_field_costs_its_record_only() -> None:
    rows = read(b'prompt\n"start\ncaf\xe9\nend"\nafter\n')

    assert [row.line for row in rows] == [2, 5]
    assert "0xE9" in outline(rows)[0][1]
    assert outline(rows)[1] == (5, "after")


def test_a_field_longer_than_a_prompt_may_be_is_refused_as_one() -> None:
    rows = read('prompt\n"' + "line\n" * 30_000 + '"\nafter\n')

    assert [row.line for row in rows] == [2, 30_003]
    assert outline(rows)[1] == (30_003, "after")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("question\nHello\n", "The first line must name the columns"),
        ("prompt,id,prompt\na,b,c\n", 'The column "prompt" is there twice'),
        ('"prompt\nabc\n', "The header cannot be read."),
        (b"\xe9prompt\nabc\n", "The header cannot be read."),
    ],
)
def test_a_header_without_prompt_is_refused(text: str | bytes, says: str) -> None:
    (row,) = read(text)
    assert isinstance(row, Problem)
    assert row.line == 1
    assert says in row.reason


def test_a_header_alone_has_no_prompts() -> None:
    (row,) = read("prompt,id\n")
    assert isinstance(row, Problem)
    assert row.reason.startswith("The file has no prompts.")


def test_nul_is_refused() -> None:
    rows = read("prompt\na\x00b\nafter\n")
    assert "NUL character" in outline(rows)[0][1]
    assert outline(rows)[1] == (3, "after")


def test_many_columns_with_one_name() -> None:
    names = ",".join(["prompt", *["more"] * 100_000, "prompt"])
    (problem,) = read_prompts(f"{names}\n", "csv")
    assert isinstance(problem, Problem)
    assert problem.reason == 'The column "prompt" is there twice. Keep one of them.'
