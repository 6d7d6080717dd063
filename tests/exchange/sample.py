"""Task groups to export: hand-made ones, and any number of made-up ones."""

from collections.abc import Iterator
from datetime import UTC, datetime

from annotate.exchange.groups import (
    ExportedComparison,
    ExportedCompletion,
    ExportedRanking,
    TaskGroup,
)
from annotate.ranking import Judgment, comparisons

HOSTILE = (
    '</script><img src=x onerror="alert(1)"> \\ "quoted"\t\n\u2028 {{7*7}} '
    "'; DROP TABLE x;-- \N{WOMAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
)
SAID_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def ranking_of(key: int, labeler: str, judgment: Judgment, **said: object) -> ExportedRanking:
    pairs: list[ExportedComparison] = [
        (key * 100 + number, *pair) for number, pair in enumerate(comparisons(judgment))
    ]
    shown = [response for tier in judgment.tiers for response in tier][::-1]
    ranking = ExportedRanking(
        key,
        labeler,
        pairs,
        judgment.tiers,
        judgment.strengths,
        dict.fromkeys(judgment.unacceptable, "harmful"),
        shown,
        created_at=SAID_AT,
    )
    for name, value in said.items():
        setattr(ranking, name, value)
    return ranking


def two_labelers() -> TaskGroup:
    """Four completions 11 to 14. Lena: 12 > 11 = 14 > 13, 13 unacceptable; Luis: all tied."""
    completions = [
        ExportedCompletion(11, "Red, green and blue.", "base", "", 0.8, 0.95, 256, "stop", 6, -4.5),
        ExportedCompletion(12, HOSTILE, "base@v2", "abc", 0.2, 1.0, 64, "length", 64, -1.0),
        ExportedCompletion(13, "", "base"),
        ExportedCompletion(14, "Blau", "base"),
    ]
    lena = ranking_of(
        1,
        "lena",
        Judgment(((12,), (11, 14), (13,)), frozenset({13}), (2, None)),
        rationale=HOSTILE,
        ratings={"helpful": {"11": 4, "12": 5}},
        tags=["math"],
        active_ms=1500,
    )
    luis = ranking_of(2, "luis", Judgment(((11, 12, 13, 14),)), counted=False, revision=2)
    return TaskGroup(
        task_id=5,
        prompt_id=6,
        external_id="user_7",
        round=3,
        split="train",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": HOSTILE},
        ],
        completions=completions,
        rankings=[lena, luis],
        documents=[{"title": "T", "text": "D"}],
    )


def many(tasks: int, text: str = "word " * 60, **last: object) -> Iterator[TaskGroup]:
    """Tasks of four completions, ranked once with one tie: five preferences each.

    The last task's ranking says what no other did.
    """
    for task in range(tasks):
        ids = range(task * 4 + 1, task * 4 + 5)
        judgment = Judgment((tuple(ids[:2]), (ids[2],), (ids[3],)))
        said: dict[str, object] = {}
        if task == tasks - 1:
            judgment = Judgment(judgment.tiers, frozenset({ids[3]}), (3, 1))
            said = last
        yield TaskGroup(
            task,
            task,
            f"id-{task}",
            1,
            "held_out" if task % 10 == 0 else "train",
            [{"role": "user", "content": f"Prompt {task}: {text}"}],
            [ExportedCompletion(key, f"Answer {key}: {text}", "base") for key in ids],
            [ranking_of(task + 1, "lena", judgment, **said)],
        )
