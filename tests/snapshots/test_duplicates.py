import random
import time
from fractions import Fraction
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from training.snapshots.duplicates import near_duplicates, text_of
from training.snapshots.sides import held_out_prompts

LONG = (
    "Write a short letter to the landlord of a small flat in which you ask politely for the "
    "heating to be repaired before the first of December and mention that it broke last week"
)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_form_makes_no_difference() -> None:
    one = text_of(user("What is\n the capital of FRANCE?"), [])
    assert one == text_of(user("“What is the capital of France”"), [])
    assert one != text_of(user("What is the capital of Spain?"), [])
    assert text_of(user("?!"), []) != text_of(user("!!"), [])


def test_system_messages_are_not_compared_and_documents_are() -> None:
    system = [{"role": "system", "content": "Be kind."}]
    assert text_of(system + user("Hi"), []) == text_of(user("Hi"), [])
    assert text_of(user("Hi"), [{"title": "", "text": "D"}]) != text_of(user("Hi"), [])


def test_a_word_more_in_a_long_prompt_is_the_same_group() -> None:
    texts = [(1, LONG), (2, f"{LONG} please"), (3, "Name a river."), (4, "Name a mountain.")]
    assert near_duplicates(texts) == {1: 1, 2: 1, 3: 3, 4: 4}


def test_groups_are_joined_through_a_third() -> None:
    middle = f"{LONG} and thank you"
    texts = [(1, LONG), (2, f"Please {middle} very much indeed"), (3, middle)]
    assert set(near_duplicates(texts).values()) == {1}


WORDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=25).map(" ".join)


def jaccard(one: str, other: str) -> Fraction:
    first, second = (
        {" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))}
        for words in (one.split(), other.split())
    )
    return Fraction(len(first & second), len(first | second))


@given(st.lists(WORDS, max_size=12))
def test_it_finds_what_comparing_every_two_finds(texts: list[str]) -> None:
    groups = near_duplicates(enumerate(texts))
    found = {number: number for number in range(len(texts))}
    for _ in texts:  # until every chain has come to its smallest
        for one, other in combinations(range(len(texts)), 2):
            if jaccard(texts[one], texts[other]) >= Fraction(4, 5):
                found[one] = found[other] = min(found[one], found[other])
    assert groups == found


def test_a_common_template_makes_no_group_and_takes_no_long() -> None:
    draw = random.Random(7)
    words = [f"word{number}" for number in range(500)]
    texts = [f"{LONG} {' '.join(draw.choices(words, k=12))}" for _ in range(3000)]
    started = time.process_time()
    groups = near_duplicates(enumerate(texts))
    assert len(set(groups.values())) == 3000
    assert time.process_time() - started < 20


@given(st.lists(st.sampled_from(["a b c", "A, b c", "d", "e f g h", LONG]), max_size=12))
def test_the_order_of_prompts_does_not_matter(texts: list[str]) -> None:
    numbered = [(number, text_of(user(text), [])) for number, text in enumerate(texts)]
    assert near_duplicates(numbered) == near_duplicates(numbered[::-1])


def test_a_group_is_held_out_if_one_of_it_is() -> None:
    prompts = [
        (1, "train", LONG),
        (2, "held_out", f"{LONG} please"),
        (3, "train", "name a river"),
        (4, "held_out", "name a lake"),
    ]
    assert held_out_prompts(prompts) == {1, 2, 4}
