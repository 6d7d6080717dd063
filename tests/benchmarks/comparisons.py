"""A project with very many comparisons, written to the database in bulk."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from annotate.exchange.prompts import ParsedPrompt, read_prompts, split_of
from annotate.models import Project, Round, RoundSource, RoundState, User
from annotate.ranking import Judgment, comparisons
from annotate.services.example import FOLDER
from formats.conversation import prompt_hash
from tests import cast
from tests.services import ENV

K = 4
PAIRS = K * (K - 1) // 2
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Of the length and with the line breaks, quotes and letters of real answers.
ANSWER = (
    'Here\'s one way to say it: "Thank you for your time, and for the café visit."\n\n'
    "1. Begin with what matters most to the reader, and leave out the rest.\n"
    "2. Give one example — a short one — and say what follows from it.\n"
    "3. End with what you would like to happen next, and when.\n\n"
) * 2
SAMPLING = json.dumps({"temperature": 0.8, "top_p": 0.95, "max_tokens": 256, "n": K})

Row = tuple[object, ...]


def fill(project: Project, owner: User, labeler: User, *, number: int, tasks: int) -> None:
    """Add round `number` with that many ranked tasks, K=4, six comparisons each.

    All ids of the round begin at `number` times a billion, so that rows can name each other
    before they are written.
    """
    round_ = Round.objects.create(
        project=project,
        number=number,
        k=K,
        overlap=1,
        state=RoundState.LABELING,
        created_by=owner,
        started_at=NOW,
    )
    source = RoundSource.objects.create(round=round_, served_model=cast.served_model())
    first = number * 1_000_000_000
    ids = range(first, first + tasks)
    with psycopg.connect(ENV.database_url) as connection, connection.cursor() as cursor:
        # Checking each of the foreign keys would take most of the time.
        cursor.execute("SET session_replication_role = replica")
        for table, columns, rows in (
            ("prompt", PROMPT, _prompts(ids, project.pk)),
            ("task", TASK, _tasks(ids, round_.pk)),
            ("completion", COMPLETION, _completions(ids, source)),
            ("claim", CLAIM, _claims(ids, project, labeler.pk)),
            ("ranking", RANKING, _rankings(ids, project.pk, round_.pk, labeler.pk)),
            ("slot", SLOT, _slots(ids, round_.pk)),
            ("comparison", COMPARISON, _comparisons(ids)),
        ):
            _copy(cursor, f"annotate_{table}", columns, rows)
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")


def _copy(cursor: psycopg.Cursor[Row], table: str, columns: str, rows: Iterable[Row]) -> None:
    with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _answers_of(task: int) -> Sequence[int]:
    return range(task * K, task * K + K)


PROMPT = (
    "id, project_id, messages, documents, tags, external_id, content_hash, split, excerpt, turns,"
    " created_at"
)


def _prompts(ids: range, project: int) -> Iterator[Row]:
    with (FOLDER / "prompts.jsonl").open("rb") as file:
        parsed = [row for row in read_prompts(file, "jsonl") if isinstance(row, ParsedPrompt)]
    for key in ids:
        text = f"{parsed[key % len(parsed)].messages[-1]['content']}\n\n(Request {key}.)"
        messages = [{"role": "user", "content": text}]
        digest = prompt_hash(messages, [])
        yield (
            key, project, json.dumps(messages), "[]", [], f"request-{key}", digest,
            split_of(digest), text[:240], 1, NOW,
        )  # fmt: skip


TASK = "id, round_id, prompt_id, position, required, state, failure, ready_at"


def _tasks(ids: range, round_: int) -> Iterator[Row]:
    for position, key in enumerate(ids):
        yield key, round_, key, position, 1, "ready", "", NOW


COMPLETION = (
    "id, task_id, number, text, finish_reason, token_count, prompt_tokens, logprob_sum, source_id,"
    " served_model_id, model_name, adapter_hash, sampling, chat_template_hash, replica, latency_ms,"
    " created_at"
)


def _completions(ids: range, source: RoundSource) -> Iterator[Row]:
    model, name = source.served_model_id, source.served_model.name
    for task in ids:
        for number, key in enumerate(_answers_of(task)):
            yield (
                key, task, number, f"Answer {key}. {ANSWER}", "stop", 150, 80, -120.5, source.pk,
                model, name, "", SAMPLING, "", "local", 900, NOW,
            )  # fmt: skip


CLAIM = (
    'id, project_id, task_id, labeler_id, state, "order", settings_id, expires_at, created_at,'
    " ended_at, reason, note"
)


def _claims(ids: range, project: Project, labeler: int) -> Iterator[Row]:
    settings = project.judging_settings.latest("pk").pk
    for key in ids:
        order = list(_answers_of(key))
        yield key, project.pk, key, labeler, "ranked", order, settings, NOW, NOW, NOW, "", ""


RANKING = (
    'id, project_id, round_id, task_id, claim_id, labeler_id, key, "order", tiers, unacceptable,'
    " strengths, ratings, tags, rationale, active_ms, revision, current, created_at"
)


def _judgment(task: int) -> Judgment:
    best, second, third, worst = _answers_of(task)
    return Judgment(((best,), (third,), (second,), (worst,)), frozenset({worst}), (2, None, 1))


def _rankings(ids: range, project: int, round_: int, labeler: int) -> Iterator[Row]:
    for key in ids:
        said = _judgment(key)
        unacceptable = [{"completion": bad, "reason": ""} for bad in said.unacceptable]
        yield (
            key, project, round_, key, key, labeler, UUID(int=key), list(_answers_of(key)),
            json.dumps(said.tiers), json.dumps(unacceptable), json.dumps(said.strengths), "{}", [],
            "The first one does what was asked.", 30_000, 1, True, NOW,
        )  # fmt: skip


SLOT = "id, task_id, round_id, position, number, claim_id, lease_until, ranking_id"


def _slots(ids: range, round_: int) -> Iterator[Row]:
    for position, key in enumerate(ids):
        yield key, key, round_, position, 0, key, NOW, key


COMPARISON = (
    "id, ranking_id, winner_id, loser_id, tie, strength, winner_unacceptable, loser_unacceptable"
)


def _comparisons(ids: range) -> Iterator[Row]:
    for key in ids:
        for number, pair in enumerate(comparisons(_judgment(key))):
            yield key * PAIRS + number, key, *pair
