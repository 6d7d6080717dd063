"""What a labeler said about one prompt's responses, and whether it can be accepted."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

STRENGTHS = {1: "slightly", 2: "clearly", 3: "significantly"}


@dataclass(frozen=True, slots=True)
class Judgment:
    """A complete ranking of one prompt's responses.

    tiers: completion ids, best tier first; ids inside one tier are tied.
    unacceptable: ids of responses that should not have been given at all.
    strengths: how much better each tier is than the next (3 significantly, 2 clearly, 1 slightly,
        None not said), so one less than there are tiers; () means that none was said.
    """

    tiers: tuple[tuple[int, ...], ...]
    unacceptable: frozenset[int] = frozenset()
    strengths: tuple[int | None, ...] = ()


class InvalidJudgment(ValueError):
    """A judgment that cannot be accepted. `message` tells the labeler what to change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check(
    judgment: Judgment,
    expected_ids: Collection[int],
    *,
    ties_allowed: bool = True,
    names: Mapping[int, str] | None = None,
    same: Mapping[int, int] | None = None,
) -> None:
    """Raise InvalidJudgment unless the judgment ranks exactly the expected responses.

    names: what the labeler calls each response ("A", "B"…), for the message; ids when not given.
    same: of `same_of`; the same answer may be tied with itself where ties are not allowed.

    Codes: unknown_response, missing_response, doubled_response, empty_tier, ties_not_allowed,
    wrong_number_of_strengths, strength_out_of_range, unknown_unacceptable,
    unacceptable_above_acceptable.
    """
    expected = set(expected_ids)
    _check_responses(judgment, expected, names)
    if not ties_allowed:
        _check_no_ties(judgment, names, same or {})
    _check_strengths(judgment)
    _check_unacceptable(judgment, expected, names)


def _check_responses(
    judgment: Judgment, expected: set[int], names: Mapping[int, str] | None
) -> None:
    if not all(judgment.tiers):
        raise InvalidJudgment("empty_tier", "A place in the ranking is empty. Remove it.")
    seen: set[int] = set()
    doubled: set[int] = set()
    for tier in judgment.tiers:
        for response in tier:
            (doubled if response in seen else seen).add(response)
    if unknown := seen - expected:
        raise InvalidJudgment(
            "unknown_response",
            f"{_listed(unknown, names)} {_is(unknown)} not part of this task. "
            "Rank only the responses shown.",
        )
    if doubled:
        raise InvalidJudgment(
            "doubled_response",
            f"{_listed(doubled, names)} {_is(doubled)} ranked more than once. "
            "Give every response one place.",
        )
    if missing := expected - seen:
        raise InvalidJudgment(
            "missing_response",
            f"{_listed(missing, names)} {_is(missing)} not ranked yet. "
            "Give every response a place before submitting.",
        )


def _check_no_ties(
    judgment: Judgment, names: Mapping[int, str] | None, same: Mapping[int, int]
) -> None:
    for tier in judgment.tiers:
        if len({same.get(response, response) for response in tier}) > 1:
            raise InvalidJudgment(
                "ties_not_allowed",
                f"{_listed(tier, names)} are tied, but this project does not allow ties. "
                "Put one before the other.",
            )


def _check_strengths(judgment: Judgment) -> None:
    said, gaps = len(judgment.strengths), len(judgment.tiers) - 1
    if judgment.strengths and said != gaps:
        raise InvalidJudgment(
            "wrong_number_of_strengths",
            f"{said} strengths were given, but there are {gaps} steps between the tiers. "
            "Give one for each step, or none at all.",
        )
    for strength in judgment.strengths:
        if strength is not None and (type(strength) is not int or strength not in STRENGTHS):
            raise InvalidJudgment(
                "strength_out_of_range",
                f"{strength} is not a strength. Choose 1 (slightly), 2 (clearly) or "
                "3 (significantly), or leave it open.",
            )


def _check_unacceptable(
    judgment: Judgment, expected: set[int], names: Mapping[int, str] | None
) -> None:
    if unknown := judgment.unacceptable - expected:
        raise InvalidJudgment(
            "unknown_unacceptable",
            f"{_listed(unknown, names)} {_is(unknown)} marked unacceptable but not part of this "
            "task. Mark only the responses shown.",
        )
    rejected_above: list[int] = []
    for tier in judgment.tiers:
        acceptable = [response for response in tier if response not in judgment.unacceptable]
        rejected = [response for response in tier if response in judgment.unacceptable]
        if acceptable and (rejected or rejected_above):
            bad = rejected or rejected_above
            raise InvalidJudgment(
                "unacceptable_above_acceptable",
                f"{_listed(bad, names)} {_is(bad)} marked unacceptable but not ranked below "
                f"{_listed(acceptable, names)}. Move it down, or take the mark away.",
            )
        rejected_above = rejected or rejected_above


def _listed(responses: Iterable[int], names: Mapping[int, str] | None) -> str:
    known = names or {}
    words = sorted(known.get(response, str(response)) for response in responses)
    if len(words) == 1:
        return f"Response {words[0]}"
    return f"Responses {', '.join(words[:-1])} and {words[-1]}"


def _is(responses: Collection[int]) -> str:
    return "is" if len(responses) == 1 else "are"
