"""Raw rankings: one row a ranking, with what was shown and everything that was said.

The columns of both formats are those of COLUMNS, in this order. Completions are named by their
position in `completions`: `tiers` best first, ties inside a tier, identical answers in the tier of
the best placed of them; `strengths` between neighbouring tiers (3 significantly, 2 clearly,
1 slightly, 0 not said); `unacceptable` and its reasons one entry a completion; `shown` the order in
which the labeler saw them. `could_look`: yes where the labeler's role, when they ranked, let them
export what names the models and what others said; unknown of rankings from before this was kept.

`documents_json`, `ratings_json` and `tags_json` are JSON texts, because they may be empty: readers
of JSONL take a column's type from its first rows, and cannot change it when the first entry comes.
For the same reason no column is ever null. documents: [{"title", "text"}]; ratings:
{axis: [a number or null for each completion]}; tags: [text].
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import orjson
import pyarrow as pa

from annotate.exchange.chunks import chunked
from annotate.exchange.columns import PROMPT, ROUND, SPLIT, Column, schema_of
from annotate.exchange.groups import ExportedRanking, TaskGroup
from annotate.exchange.parquet import stream_tables
from annotate.ranking import Judgment, same_of, without_alike_pairs

ROW_GROUP_ROWS = 1 << 12
# Characters of a row group once prompt and completions are repeated in every row.
ROW_GROUP_CHARACTERS = 1 << 25

_NUMBERS = pa.list_(pa.int64())

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_COMPLETIONS = pa.list_(
    pa.struct(
        [
            ("id", pa.int64()),
            ("text", pa.string()),
            ("model", pa.string()),
            ("adapter_hash", pa.string()),
            ("temperature", pa.float64()),
            ("top_p", pa.float64()),
            ("max_tokens", pa.int64()),
            ("finish_reason", pa.string()),
            ("tokens", pa.int64()),
            ("logprob_sum", pa.float64()),
        ]
    )
)
_AS_JSON = "As a JSON text, because it may be empty."

COLUMNS = (
    Column("prompt", _MESSAGES, PROMPT),
    Column(
        "completions",
        _COMPLETIONS,
        "All completions with text, model, sampling parameters, tokens and log-probability.",
    ),
    Column("task_id", pa.int64(), "The task that it belongs to."),
    Column("prompt_id", pa.int64(), "The prompt that it belongs to."),
    Column("external_id", pa.string(), "The prompt's id from your import."),
    Column("documents_json", pa.string(), f"Documents of the prompt. {_AS_JSON}"),
    Column("round", pa.int64(), ROUND),
    Column("split", pa.string(), SPLIT),
    Column("ranking_id", pa.int64(), "Id of the ranking."),
    Column("labeler", pa.string(), "Who made it."),
    Column("created_at", pa.string(), "When."),
    Column("revision", pa.int64(), "Which version of it, from 1."),
    Column("counted", pa.bool_(), "Whether it counted towards the overlap, or is an extra."),
    Column(
        "could_look",
        pa.string(),
        "“yes” where the labeler could export what names the models and what others said when "
        "they ranked; “unknown” of old rankings.",
    ),
    Column(
        "tiers",
        pa.list_(_NUMBERS),
        "Best first; completions in one list are tied. Numbers are positions in completions.",
    ),
    Column(
        "strengths",
        _NUMBERS,
        "Between neighbouring tiers: 1 slightly, 2 clearly, 3 significantly; 0 not said.",
    ),
    Column("unacceptable", pa.list_(pa.bool_()), "One entry for each completion."),
    Column("unacceptable_reasons", pa.list_(pa.string()), "One entry for each completion."),
    Column("shown", _NUMBERS, "The order in which the labeler saw the completions."),
    Column("active_ms", pa.int64(), "Active time in milliseconds."),
    Column("rationale", pa.string(), "The reason in words."),
    Column("ratings_json", pa.string(), f"Ratings by scale. {_AS_JSON}"),
    Column("tags_json", pa.string(), f"Tags. {_AS_JSON}"),
)
SCHEMA = schema_of(COLUMNS)

_COULD_LOOK = {True: "yes", False: "no", None: "unknown"}

Row = dict[str, object]


def jsonl_rankings(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    """Yield chunks of JSON lines, one for each ranking, ties and extras included."""
    return chunked(_lines(groups))


def parquet_rankings(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    """Yield a Parquet file in pieces; the rows are those of `jsonl_rankings`."""
    return stream_tables(_tables(groups), SCHEMA)


def _lines(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    for group in groups:
        # What the rankings share is encoded once; theirs follows after its closing brace.
        start = orjson.dumps(_shared(group))[:-1] + b","
        positions, same = _positions(group), _same(group)
        for ranking in group.rankings:
            yield start + orjson.dumps(_said(ranking, positions, same))[1:] + b"\n"


def _tables(groups: Iterable[TaskGroup]) -> Iterator[pa.Table]:
    rows: list[Row] = []
    characters = 0
    for group in groups:
        shared, positions, same = _shared(group), _positions(group), _same(group)
        length = sum(len(turn["content"]) for turn in group.messages)
        length += sum(len(completion.text) for completion in group.completions)
        for ranking in group.rankings:
            rows.append(shared | _said(ranking, positions, same))
            characters += length
            if len(rows) >= ROW_GROUP_ROWS or characters >= ROW_GROUP_CHARACTERS:
                yield pa.Table.from_pylist(rows, schema=SCHEMA)
                rows, characters = [], 0
    yield pa.Table.from_pylist(rows, schema=SCHEMA)


def _shared(group: TaskGroup) -> Row:
    """The columns that all rankings of a task have in common."""
    return {
        "prompt": group.messages,
        "completions": [completion._asdict() for completion in group.completions],
        "task_id": group.task_id,
        "prompt_id": group.prompt_id,
        "external_id": group.external_id,
        "documents_json": _json(group.documents),
        "round": group.round,
        "split": group.split,
    }


def _positions(group: TaskGroup) -> dict[int, int]:
    return {completion.id: position for position, completion in enumerate(group.completions)}


def _same(group: TaskGroup) -> dict[int, int]:
    ids = [completion.id for completion in group.completions]
    return same_of(ids, [completion.written for completion in group.completions])


def _said(ranking: ExportedRanking, positions: dict[int, int], same: dict[int, int]) -> Row:
    """The columns of one ranking; `positions` by completion id, in the order of the completions."""
    at = positions.__getitem__
    judgment = without_alike_pairs(
        Judgment(
            tuple(map(tuple, ranking.tiers)),
            frozenset(ranking.unacceptable),
            tuple(ranking.strengths),
        ),
        same,
    )
    steps, bad = len(judgment.tiers) - 1, judgment.unacceptable
    return {
        "ranking_id": ranking.id,
        "labeler": ranking.labeler,
        "created_at": _moment(ranking.created_at),
        "revision": ranking.revision,
        "counted": ranking.counted,
        "could_look": _COULD_LOOK[ranking.could_look],
        "tiers": [[at(completion) for completion in tier] for tier in judgment.tiers],
        "strengths": [strength or 0 for strength in judgment.strengths] or [0] * steps,
        "unacceptable": [completion in bad for completion in positions],
        "unacceptable_reasons": [
            ranking.unacceptable[completion] if completion in bad else ""
            for completion in positions
        ],
        "shown": [at(completion) for completion in ranking.shown],
        "active_ms": ranking.active_ms,
        "rationale": ranking.rationale,
        "ratings_json": _json(
            {
                axis: [values.get(str(completion)) for completion in positions]
                for axis, values in ranking.ratings.items()
            }
        ),
        "tags_json": _json(ranking.tags),
    }


def _moment(moment: datetime | None) -> str:
    """Always with microseconds: then every reader takes the column for text, or none does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment else ""


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
