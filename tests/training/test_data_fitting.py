"""Prompts over data.max_prompt_tokens: the tiny tokenizer has a token for each byte."""

from pathlib import Path

import pytest

from tests.training.data.samples import (
    TOKENIZER,
    answer,
    chatml,
    dropped,
    load_pairs,
    pair,
    text,
    texts,
    user,
    write,
)
from training.engine.data import load_demonstrations, load_prompts
from training.engine.data.chat import Chat
from training.engine.data.encoding import Encoder
from training.engine.data.examples import Answer
from training.engine.data.fitting import TOO_LONG, Fitted, Fitting
from training.engine.data.report import Shortened
from training.engine.scoring.answers import Given
from training.engine.scoring.asked import groups_of
from training.engine.spec import Data

FRENCH = {"role": "system", "content": "always answer in French"}
# Three questions; "system", the last of them and the frame are 75 + 20 + 22 tokens.
LONG = [
    FRENCH,
    *user("one " * 20),
    *answer("eins"),
    *user("two"),
    *answer("zwei"),
    *user("three"),
]


def tokens(*turns: tuple[str, str]) -> int:
    """Of special tokens one each, of all else one a byte."""
    return len(chatml(*turns).replace("<|im_start|>", "<").replace("<|im_end|>", ">").encode())


WHOLE = tokens(*((one["role"], one["content"]) for one in LONG))
LAST_TWO = tokens(
    ("system", FRENCH["content"]), ("user", "two"), ("assistant", "zwei"), ("user", "three")
)
LAST = tokens(("system", FRENCH["content"]), ("user", "three"))


@pytest.mark.parametrize(
    ("most", "left", "gone"),
    [
        (WHOLE, LONG, 0),
        (WHOLE - 1, [FRENCH, *LONG[3:]], 2),
        (LAST_TWO, [FRENCH, *LONG[3:]], 2),
        (LAST_TWO - 1, [FRENCH, LONG[5]], 4),
        (LAST, [FRENCH, LONG[5]], 4),
    ],
)
def test_whole_old_turns_go_and_system_message_and_frame_stay(
    most: int, left: list[dict[str, str]], gone: int, tmp_path: Path
) -> None:
    (group,) = load_pairs(tmp_path, pair(prompt=LONG), max_prompt_tokens=most).train

    assert texts(group)[0] == chatml(*((one["role"], one["content"]) for one in left))
    report = load_pairs(tmp_path, pair(prompt=LONG), max_prompt_tokens=most).report
    assert report.shortened == Shortened(int(gone > 0), 1, gone)


def test_a_last_turn_that_is_too_long_costs_the_row_and_is_said(tmp_path: Path) -> None:
    long = pair(2, prompt=[FRENCH, *user("river " * 800)])

    # The template's own system message of the first row is longer than the others'.
    found = load_pairs(tmp_path, pair(1), long, pair(3, prompt=LONG), max_prompt_tokens=LAST + 9)

    assert dropped(found) == {TOO_LONG: 1}
    assert len(found.train) == 2
    assert found.report.warning() == (
        "Of the data (3 rows): 1 of 3 prompts (33.3%) left out (prompt is longer than "
        "max_prompt_tokens, even without its older turns); 1 of 3 prompts (33.3%) without their "
        "oldest turns (4 turns), for being over data.max_prompt_tokens. See data_report.json."
    )
    saved = found.report.to_json()
    assert saved["prompts_shortened"] == {"count": 1, "of": 3, "share": 0.333333, "turns": 4}
    assert saved["dropped"][0] == {
        "reason": TOO_LONG,
        "count": 1,
        "unit": "prompts",
        "of": 3,
        "share": 0.333333,
        "examples": [f"pairs.jsonl:2 ({4800 + LAST - 5:,} tokens)"],
    }


def test_a_greeting_goes_before_any_question_does(tmp_path: Path) -> None:
    greeted = [*answer("Welcome! " * 9), *user("Q")]
    (group,) = load_pairs(tmp_path, pair(prompt=greeted), max_prompt_tokens=80).train
    assert texts(group)[0] == chatml(("user", "Q"))


def test_prompts_of_policies_that_answer_them_are_shortened_alike(tmp_path: Path) -> None:
    file = write(tmp_path / "p.jsonl", [pair(prompt=LONG)])
    data = Data(pairs=(file,), held_out_fraction=0.0, max_prompt_tokens=LAST)

    found = load_prompts(data, TOKENIZER)

    (one,) = found.train
    assert one.messages == [FRENCH, LONG[5]]
    assert text(one.tokens) == chatml(("system", FRENCH["content"]), ("user", "three"))
    assert found.report.shortened == Shortened(1, 1, 4)


def test_shortened_prompts_stay_on_the_side_of_the_whole_ones(tmp_path: Path) -> None:
    rows = [pair(prompt=[*user(f"old {n} " * 20), *answer("A"), *user("Q")]) for n in range(60)]
    file = write(tmp_path / "p.jsonl", rows)
    sides = []
    for most in (70, 4096):
        data = Data(pairs=(file,), held_out_fraction=0.3, max_prompt_tokens=most)
        found = load_prompts(data, TOKENIZER)
        sides.append([one.key for one in found.evaluation])
    assert sides[0] == sides[1] != []


def test_turns_of_demonstrations_are_shortened_each_for_itself(tmp_path: Path) -> None:
    file = write(tmp_path / "d.jsonl", [{"messages": [*LONG, *answer("drei")]}])
    data = Data(demonstrations=(file,), held_out_fraction=0.0, max_prompt_tokens=LAST_TWO)

    found = load_demonstrations(data, TOKENIZER)

    # "one " * 20 does not fit at all; "two" is learned behind the system message alone.
    (one,) = found.train
    assert [text(group.completions[0]) for group in one.groups] == [
        "zwei<|im_end|>",
        "drei<|im_end|>",
    ]
    assert text(one.groups[0].prompt) == chatml(("system", FRENCH["content"]), ("user", "two"))
    assert found.report.count(TOO_LONG) == 1
    assert found.report.shortened == Shortened(2, 3, 4)


def test_a_judge_reads_a_long_last_turn_whole() -> None:
    given = Given(7, [*LONG[:5], *user("three " * 50)], Answer("drei"))
    (one,) = groups_of([given], TOKENIZER, max_prompt_tokens=LAST)
    assert text(one.group.prompt) == chatml(("system", FRENCH["content"]), ("user", "three " * 50))


def test_a_system_message_stays_however_often_turns_go() -> None:
    encoder = Encoder(Chat(TOKENIZER), max_prompt_tokens=LAST, max_completion_tokens=9)
    (one,) = Fitting(encoder).fitted([LONG])
    assert isinstance(one, Fitted)
    assert (one.messages, one.dropped) == ([FRENCH, LONG[5]], 4)
