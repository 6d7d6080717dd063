import pytest
from hypothesis import given

from annotate.ranking import InvalidJudgment, Judgment, check
from tests.ranking.judgments import judgments

NAMES = {1: "A", 2: "B", 3: "C", 4: "D"}


def refusal(judgment: Judgment, *, ties_allowed: bool = True) -> tuple[str, str]:
    with pytest.raises(InvalidJudgment) as caught:
        check(judgment, NAMES, ties_allowed=ties_allowed, names=NAMES)
    return caught.value.code, caught.value.message


@given(judgments())
def test_it_accepts_every_complete_ranking(judgment: Judgment) -> None:
    check(judgment, [response for tier in judgment.tiers for response in tier])


@given(judgments(ties=False))
def test_it_accepts_rankings_without_ties_where_none_are_allowed(judgment: Judgment) -> None:
    ids = [response for tier in judgment.tiers for response in tier]
    check(judgment, ids, ties_allowed=False)


def test_it_accepts_that_all_are_unacceptable() -> None:
    check(Judgment(((1, 2), (3, 4)), frozenset(NAMES)), NAMES)


def test_it_refuses_an_unknown_response() -> None:
    code, message = refusal(Judgment(((1, 2), (3, 4), (99,))))
    assert code == "unknown_response"
    assert message == "Response 99 is not part of this task. Rank only the responses shown."


def test_it_refuses_missing_responses_by_their_names() -> None:
    code, message = refusal(Judgment(((2,), (4,))))
    assert code == "missing_response"
    assert message.startswith("Responses A and C are not ranked yet.")


def test_it_refuses_an_empty_ranking() -> None:
    code, message = refusal(Judgment(()))
    assert code == "missing_response"
    assert message.startswith("Responses A, B, C and D are not ranked yet.")


@pytest.mark.parametrize("tiers", [((1, 2), (3, 4), (2,)), ((1, 2, 2), (3, 4))])
def test_it_refuses_a_doubled_response(tiers: tuple[tuple[int, ...], ...]) -> None:
    code, message = refusal(Judgment(tiers))
    assert code == "doubled_response"
    assert message.startswith("Response B is ranked more than once.")


def test_it_refuses_an_empty_tier() -> None:
    assert refusal(Judgment(((1, 2), (), (3, 4))))[0] == "empty_tier"


def test_it_refuses_ties_where_none_are_allowed() -> None:
    code, message = refusal(Judgment(((1,), (4, 3), (2,))), ties_allowed=False)
    assert code == "ties_not_allowed"
    assert message.startswith("Responses C and D are tied")


@pytest.mark.parametrize("strengths", [(1,), (1, 2, 3, None)])
def test_it_refuses_a_wrong_number_of_strengths(strengths: tuple[int | None, ...]) -> None:
    code, message = refusal(Judgment(((1,), (2,), (3,), (4,)), strengths=strengths))
    assert code == "wrong_number_of_strengths"
    assert "3 steps" in message


@pytest.mark.parametrize("strength", [0, 4, -1, True, 1.0, "2"])
def test_it_refuses_what_is_no_strength(strength: int) -> None:
    judgment = Judgment(((1, 2), (3, 4)), strengths=(strength,))
    assert refusal(judgment)[0] == "strength_out_of_range"


def test_it_refuses_a_mark_on_a_response_that_was_not_shown() -> None:
    judgment = Judgment(((1, 2), (3, 4)), frozenset({7}))
    assert refusal(judgment)[0] == "unknown_unacceptable"


@pytest.mark.parametrize(
    "tiers",
    [((2,), (1,), (3,), (4,)), ((1,), (2, 3), (4,)), ((1,), (3,), (2,), (4,)), ((1, 2, 3, 4),)],
)
def test_it_refuses_an_unacceptable_response_that_is_not_below_all_acceptable_ones(
    tiers: tuple[tuple[int, ...], ...],
) -> None:
    code, message = refusal(Judgment(tiers, frozenset({2})))
    assert code == "unacceptable_above_acceptable"
    assert message.startswith("Response B is marked unacceptable but not ranked below Response")
