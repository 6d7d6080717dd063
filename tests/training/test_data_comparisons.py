from hypothesis import given
from hypothesis import strategies as st

from annotate.ranking import Judgment
from annotate.ranking import comparisons as judged
from tests.ranking.judgments import judgments
from training.engine.data.comparisons import Choice, comparisons, ranking
from training.engine.data.examples import Said
from training.engine.groups import Pair

CHOICES = st.builds(
    Choice,
    st.sampled_from(["soft", "drop"]),
    st.sampled_from(["keep", "drop_winners"]),
    st.booleans(),
)


@given(judgments())
def test_a_ranking_implies_what_the_workbench_says_it_implies(judgment: Judgment) -> None:
    found = comparisons(judgment.tiers, judgment.strengths, judgment.unacceptable)

    assert [tuple(one) for one in found] == [tuple(one) for one in judged(judgment)]


def as_said(judgment: Judgment) -> tuple[Said, dict[int, int]]:
    ids = sorted(one for tier in judgment.tiers for one in tier)
    said = Said(judgment.tiers, judgment.strengths, judgment.unacceptable)
    return said, {one: place for place, one in enumerate(ids)}


@given(judgments(), CHOICES, st.data())
def test_a_dropped_completion_takes_its_own_comparisons_away_and_no_others(
    judgment: Judgment, choice: Choice, data: st.DataObject
) -> None:
    said, places = as_said(judgment)
    gone = data.draw(st.sampled_from(sorted(places)))
    left = {one: place for one, place in places.items() if one != gone}

    whole, part = ranking(said, places, choice), ranking(said, left, choice)

    kept = [] if whole is None else whole.pairs
    at = places[gone]
    assert list(part.pairs if part else ()) == [
        one for one in kept if at not in (one.winner, one.loser)
    ]
    if part is not None:
        assert sorted(one for tier in part.tiers for one in tier) == sorted(left.values())
        assert all(part.tiers)


@given(judgments(), CHOICES)
def test_the_pairs_are_those_chosen(judgment: Judgment, choice: Choice) -> None:
    said, places = as_said(judgment)
    found = ranking(said, places, choice)

    wanted = [
        Pair(
            places[one.winner],
            places[one.loser],
            0.5 if one.tie else 1.0,
            float(one.strength or 0) if choice.margins else 0.0,
        )
        for one in judged(judgment)
        if not (one.tie and choice.ties == "drop")
        and not (one.winner_unacceptable and choice.unacceptable == "drop_winners")
    ]
    assert list(found.pairs if found else ()) == wanted


@given(judgments())
def test_tiers_prefer_what_pairs_prefer(judgment: Judgment) -> None:
    said, places = as_said(judgment)
    for choice in (Choice("drop", "keep", True), Choice("drop", "drop_winners", True)):
        found = ranking(said, places, choice)
        if found is None:
            continue
        strict = {
            (winner, loser)
            for upper, tier in enumerate(found.tiers)
            for winner in tier
            for lower in found.tiers[upper + 1 :]
            for loser in lower
        }
        assert strict == {(one.winner, one.loser) for one in found.pairs}
