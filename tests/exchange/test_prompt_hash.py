import tracemalloc
from collections.abc import Iterator
from io import BytesIO

import pytest

from annotate.exchange.prompts import ParsedPrompt, read_prompts, split_of
from formats.conversation import prompt_hash


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_the_hash_never_changes() -> None:
    # The split of every stored prompt hangs on it.
    documents = [{"title": "T", "text": "Ein Text"}]
    assert prompt_hash(user("Grüß Gott"), documents) == (
        "5ad065070c902fb55f3a7e8ddfebe4bbc0cd7cd5defeee5f513f0193d2c1f0a1"
    )


@pytest.mark.parametrize("twin", ["cafe\u0301\nau lait", " café\r\nau lait \n", "café\rau lait"])
def test_twins_share_a_hash(twin: str) -> None:
    assert prompt_hash(user(twin), []) == prompt_hash(user("café\nau lait"), [])


def test_different_prompts_differ() -> None:
    texts = [
        prompt_hash(user("a b"), []),
        prompt_hash(user("a  b"), []),
        prompt_hash(user("A b"), []),
        prompt_hash([{"role": "system", "content": "a b"}], []),
        prompt_hash(user("a b"), [{"title": "", "text": "c"}]),
        prompt_hash(user("a b"), [{"title": "c", "text": ""}]),
        prompt_hash([*user("a"), {"role": "assistant", "content": "b"}], []),
    ]
    assert len(set(texts)) == len(texts)


def test_one_in_ten_is_held_out() -> None:
    held_out = [split_of(prompt_hash(user(f"prompt {n}"), [])) for n in range(10_000)]
    assert 900 < held_out.count("held_out") < 1100


class Endless(BytesIO):
    """200 MB of prompts that are never in memory together."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.rows: Iterator[bytes] = (
            b'{"prompt": "%d %b"}\n' % (number, b"x" * 20_000) for number in range(lines)
        )

    def read(self, size: int | None = -1) -> bytes:
        return next(self.rows, b"")


def test_a_huge_file_is_read_in_constant_memory() -> None:
    tracemalloc.start()
    prompts = sum(isinstance(row, ParsedPrompt) for row in read_prompts(Endless(10_000), "jsonl"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert prompts == 10_000
    assert peak < 2_000_000
