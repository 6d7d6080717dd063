"""Groups in the making: rows of the same task are rankings of one group."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from training.engine.data.comparisons import Choice, ranking
from training.engine.data.examples import Said
from training.engine.data.report import Drops
from training.engine.data.sources import Encoded
from training.engine.data.split import either
from training.engine.groups import Group

TOO_LONG = "completion is longer than max_completion_tokens"
NO_TOKENS = "completion is empty and was cut off"
FEW_LEFT = "group has fewer than two completions left"
NO_COMPARISON = "ranking leaves no comparison (ties dropped, winners unacceptable, or too long)"
SILENT = "group has no ranking left"
AGAIN = "row is another ranking of the task by the same labeler"


@dataclass(slots=True)
class Draft:
    """A task: what was shown, and what each labeler said of it, with "file:line"."""

    first: Encoded
    said: list[tuple[str, Said]] = field(default_factory=list)
    held_out: bool | None = None


def merged(rows: Iterable[Encoded], drops: Drops) -> list[Draft]:
    """One draft for each task, in the order of the first rows. Each labeler counts once in it.

    A task is a prompt with the same completions in the same order.
    """
    drafts: dict[bytes, Draft] = {}
    for row in rows:
        draft = drafts.setdefault(row.identity, Draft(row))
        draft.held_out = either(draft.held_out, row.held_out)
        if row.said is not None:
            _add(draft, row.where, row.said, drops)
    return list(drafts.values())


def single(rows: Iterable[Encoded]) -> Iterator[Draft]:
    """A draft for each row, as pairs are."""
    for row in rows:
        yield Draft(row, [(row.where, row.said)] if row.said else [], row.held_out)


def _add(draft: Draft, where: str, said: Said, drops: Drops) -> None:
    """The last revision of a labeler's ranking is the one that counts."""
    for place, (earlier_where, earlier) in enumerate(draft.said):
        if said.author is not None and earlier.author == said.author:
            if said.revision >= earlier.revision:
                draft.said[place] = (where, said)
                where = earlier_where
            drops.add(where, AGAIN)
            return
    draft.said.append((where, said))


def group(draft: Draft, choice: Choice, drops: Drops) -> Group | None:
    """The draft as a group, None if there is nothing to learn from it.

    Its key is where its first row stands.
    """
    first = draft.first
    drops.counted["groups"] += 1
    left: list[int] = []
    for place, tokens in enumerate(first.completions):
        if tokens:
            left.append(place)
        else:
            reason = TOO_LONG if tokens is None else NO_TOKENS
            drops.add(first.where, reason, f"number {place}", unit="completions")
    if len(left) < (1 if choice.single else 2):
        drops.add(first.where, FEW_LEFT, unit="groups")
        return None
    places = {old: new for new, old in enumerate(left)}
    rankings = []
    for where, said in draft.said:
        found = ranking(said, places, choice)
        if found is None:
            drops.add(where, NO_COMPARISON)
        else:
            rankings.append(found)
    if not rankings:
        drops.add(first.where, SILENT, unit="groups")
        return None
    completions = tuple(tokens for tokens in first.completions if tokens)
    return Group(first.where, first.prompt, completions, tuple(rankings))
