"""Hypothesis strategies for judgments that can be accepted."""

from hypothesis import strategies as st

from annotate.ranking import Judgment


@st.composite
def judgments(draw: st.DrawFn, ties: bool = True) -> Judgment:
    """Two to nine responses with arbitrary ids in arbitrary tiers; the last tiers unacceptable."""
    ids = draw(st.lists(st.integers(1, 2**63 - 1), min_size=2, max_size=9, unique=True))
    tiers: list[tuple[int, ...]] = []
    rest = ids
    while rest:
        size = draw(st.integers(1, len(rest))) if ties else 1
        tiers.append(tuple(rest[:size]))
        rest = rest[size:]
    steps = len(tiers) - 1
    strengths = draw(
        st.just(())
        | st.lists(st.sampled_from([None, 1, 2, 3]), min_size=steps, max_size=steps).map(tuple)
    )
    acceptable = draw(st.integers(0, len(tiers)))
    bad = frozenset(response for tier in tiers[acceptable:] for response in tier)
    return Judgment(tuple(tiers), bad, strengths)
