"""Comparisons as TRL's conversational preference format with explicit prompt.

The columns of both formats are those of COLUMNS, in this order; prompt, chosen and rejected are
lists of {"role", "content"}.

Ties prefer nothing, so they are no rows here; the raw rankings have them. strength is 1 slightly,
2 clearly, 3 significantly, and 0 when the labeler did not say. No column is ever null: readers of
JSONL take a column's type from its first rows, and a null there makes later numbers unreadable.

chosen_cut_off and rejected_cut_off: the answer ended at the largest number of tokens allowed, not
by the model ending its turn; who trains on it must not teach that the turn ends there.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from annotate.exchange.chunks import chunked
from annotate.exchange.columns import PROMPT, ROUND, SPLIT, Column, schema_of
from annotate.exchange.groups import ExportedRanking, TaskGroup
from annotate.exchange.parquet import (
    MESSAGES,
    TEXT,
    Conversations,
    Vocabulary,
    answers,
    stream_tables,
)

ROW_GROUP_ROWS = 1 << 15
# Characters of a row group once its texts are repeated in every row, as a reader may hold them.
ROW_GROUP_CHARACTERS = 1 << 26

_SIDE = "As a list with one assistant message."
_CUT_OFF = (
    "Whether that answer ended at the longest length allowed, so the model did not end it there: "
    "train it without the end of the turn."
)
COLUMNS = (
    Column("prompt", MESSAGES, PROMPT),
    Column("chosen", MESSAGES, f"The better completion. {_SIDE}"),
    Column("rejected", MESSAGES, f"The worse completion. {_SIDE}"),
    Column("chosen_id", pa.int64(), "Id of the completion."),
    Column("chosen_model", TEXT, "The served model that wrote it."),
    Column("chosen_cut_off", pa.bool_(), _CUT_OFF),
    Column("rejected_id", pa.int64(), "Id of the completion."),
    Column("rejected_model", TEXT, "The served model that wrote it."),
    Column("rejected_cut_off", pa.bool_(), _CUT_OFF),
    Column("round", pa.int64(), ROUND),
    Column("split", TEXT, SPLIT),
    Column("ranking_id", pa.int64(), "The ranking that it follows from."),
    Column("labeler", TEXT, "Who made that."),
    Column("comparison_id", pa.int64(), "The comparison's own id."),
    Column("strength", pa.int64(), "1 slightly, 2 clearly, 3 significantly better; 0 not said."),
    Column("chosen_unacceptable", pa.bool_(), "Whether the labeler marked that side so."),
    Column("rejected_unacceptable", pa.bool_(), "Whether the labeler marked that side so."),
)
SCHEMA = schema_of(COLUMNS)


def jsonl_preferences(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    """Yield chunks of JSON lines, one for each comparison that is no tie."""
    return chunked(_lines(groups))


def _lines(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    """The lines of one ranking after the other, put together from parts encoded once a group."""
    for group in groups:
        prompt = b'{"prompt":%b,"chosen":[{"role":"assistant","content":' % orjson.dumps(
            group.messages
        )
        texts: dict[int, bytes] = {}
        as_chosen: dict[int, bytes] = {}
        as_rejected: dict[int, bytes] = {}
        for completion in group.completions:
            key = completion[0]
            model, cut_off = orjson.dumps(completion[2]), orjson.dumps(completion.cut_off)
            texts[key] = orjson.dumps(completion[1])
            as_chosen[key] = b'}],"chosen_id":%d,"chosen_model":%b,"chosen_cut_off":%b' % (
                key,
                model,
                cut_off,
            )
            as_rejected[key] = b',"rejected_id":%d,"rejected_model":%b,"rejected_cut_off":%b' % (
                key,
                model,
                cut_off,
            )
        where = b',"round":%d,"split":%b' % (group.round, orjson.dumps(group.split))
        for ranking in group.rankings:
            who = b'%b,"ranking_id":%d,"labeler":%b,"comparison_id":' % (
                where,
                ranking.id,
                orjson.dumps(ranking.labeler),
            )
            parts: list[bytes] = []
            for key, winner, loser, tie, strength, winner_bad, loser_bad in ranking.comparisons:
                if tie:
                    continue
                parts += (
                    prompt,
                    texts[winner],
                    b'}],"rejected":[{"role":"assistant","content":',
                    texts[loser],
                    as_chosen[winner],
                    as_rejected[loser],
                    who,
                    b"%d" % key,
                    _ENDS[strength or 0, winner_bad, loser_bad],
                )
            if parts:
                yield b"".join(parts)


def _end(strength: int, chosen_bad: bool, rejected_bad: bool) -> bytes:
    return b',"strength":%d,"chosen_unacceptable":%b,"rejected_unacceptable":%b}\n' % (
        strength,
        orjson.dumps(chosen_bad),
        orjson.dumps(rejected_bad),
    )


_ENDS = {
    (strength, chosen_bad, rejected_bad): _end(strength, chosen_bad, rejected_bad)
    for strength in range(4)
    for chosen_bad in (False, True)
    for rejected_bad in (False, True)
}


def parquet_preferences(groups: Iterable[TaskGroup]) -> Iterator[bytes]:
    """Yield a Parquet file in pieces; the rows are those of `jsonl_preferences`."""
    return stream_tables(_tables(groups), SCHEMA)


def _tables(groups: Iterable[TaskGroup]) -> Iterator[pa.Table]:
    held = _RowGroup()
    for group in groups:
        held.begin(group)
        for ranking in group.rankings:
            held.add(ranking)
            if held.full():
                yield held.table()
                held = _RowGroup()
                held.begin(group)
    yield held.table()


class _RowGroup:
    """Comparisons as numbers into the prompts, completions and rankings that they share."""

    def __init__(self) -> None:
        self.prompts = Conversations()
        self.names = Vocabulary()
        self.texts: list[str] = []
        # A row each: completion (id, model, cut off), ranking (prompt, id, labeler, round, split).
        self.completions: list[tuple[int, int, bool]] = []
        self.rankings: list[tuple[int, int, int, int, int]] = []
        # Ranking, winner, loser, id, strength, winner_unacceptable, loser_unacceptable.
        self.rows: list[tuple[int, int, int, int, int, bool, bool]] = []
        self.characters = 0

    def begin(self, group: TaskGroup) -> None:
        number = self.names.number
        self.where = (
            self.prompts.add(group.messages),
            group.round,
            number(group.split),
        )
        first = len(self.texts)
        self.texts += [completion.text for completion in group.completions]
        self.completions += [
            (completion.id, number(completion.model), completion.cut_off)
            for completion in group.completions
        ]
        self.numbers = {
            completion.id: first + position for position, completion in enumerate(group.completions)
        }
        longest = max((len(completion.text) for completion in group.completions), default=0)
        self.row_characters = 2 * longest + sum(len(turn["content"]) for turn in group.messages)

    def add(self, ranking: ExportedRanking) -> None:
        prompt, round_number, split = self.where
        labeler = self.names.number(ranking.labeler)
        self.rankings.append((prompt, ranking.id, labeler, round_number, split))
        index, numbers = len(self.rankings) - 1, self.numbers
        before = len(self.rows)
        self.rows += [
            (index, numbers[winner], numbers[loser], key, strength or 0, winner_bad, loser_bad)
            for key, winner, loser, tie, strength, winner_bad, loser_bad in ranking.comparisons
            if not tie
        ]
        self.characters += (len(self.rows) - before) * self.row_characters

    def full(self) -> bool:
        return len(self.rows) >= ROW_GROUP_ROWS or self.characters >= ROW_GROUP_CHARACTERS

    def table(self) -> pa.Table:
        ranking, winner, loser, key, strength, winner_bad, loser_bad = _columns(self.rows, 7)
        prompt, ranking_id, labeler, round_number, split = _columns(self.rankings, 5)
        completion, model, cut_off = _columns(self.completions, 3)
        return pa.Table.from_arrays(
            [
                self.prompts.column(prompt[ranking]),
                answers(winner, self.texts),
                answers(loser, self.texts),
                pa.array(completion[winner]),
                self.names.column(model[winner]),
                pa.array(cut_off[winner] != 0),
                pa.array(completion[loser]),
                self.names.column(model[loser]),
                pa.array(cut_off[loser] != 0),
                pa.array(round_number[ranking]),
                self.names.column(split[ranking]),
                pa.array(ranking_id[ranking]),
                self.names.column(labeler[ranking]),
                pa.array(key),
                pa.array(strength),
                pa.array(winner_bad != 0),
                pa.array(loser_bad != 0),
            ],
            schema=SCHEMA,
        )


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> npt.NDArray[np.int64]:
    """(width, rows) numbers."""
    return np.array(rows, np.int64).reshape(-1, width).T
