"""What a policy answered while it learned: from the engine's file to the lists that people read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from annotate.models import Project, Role, User
from tests import cast
from tests.loop.runs.conftest import Create
from training.engine.ppo.table import Table
from training.models import RunRollout, TrainedAdapter, TrainingRun
from training.runs import rollout_keeping, rollout_lines
from training.runs.folder import RunFiles
from training.runs.rollout_keeping import to_drop
from training.services.runs import leases
from training.services.runs.rollouts import Rollouts
from training.services.runs.syncing import Sync

Look = Callable[[], None]
HASH = "ab" * 32


def line(step: int, number: int = 0, **changes: Any) -> str:
    values: dict[str, Any] = {
        "step": step,
        "prompt": [{"role": "user", "content": f"Question {step}?"}],
        "answer": f"Answer {step}.{number}",
        "finished": True,
        "tokens": 3,
        "reward": 0.5,
        "rewards": {"reward_0": 0.5},
        "score": 0.25,
        "kl": 0.125,
        "values": [0.1, 0.2, 0.3],
    }
    return json.dumps({**values, **changes}, ensure_ascii=False) + "\n"


def steps(*numbers: int, a_step: int = 2, **changes: Any) -> str:
    return "".join(line(step, n, **changes) for step in numbers for n in range(a_step))


def answers() -> list[tuple[int, int, str]]:
    rows = RunRollout.objects.order_by("step", "number")
    return list(rows.values_list("step", "number", "answer"))


def kept() -> list[int]:
    return sorted(set(RunRollout.objects.values_list("step", flat=True)))


def replace(file: Path, text: str) -> None:
    """As the engine does: another file takes the name."""
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(file)


@pytest.fixture
def run(create: Create) -> TrainingRun:
    taken = leases.take(create().pk)
    assert taken
    return taken


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rollouts.jsonl"


@pytest.fixture
def look(run: TrainingRun, file: Path) -> Look:
    """Bring the database up to date, as the same start does every two seconds."""
    reader = Rollouts(run, file)

    def everything() -> None:
        while part := reader.look():
            reader.write(part)
            reader.taken(part)

    return everything


def of_another_start(run: TrainingRun, file: Path) -> None:
    reader = Rollouts(run, file)
    while part := reader.look():
        reader.write(part)
        reader.taken(part)


@pytest.mark.django_db
class TestTheFile:
    def test_lines_come_once_they_are_whole(self, file: Path, look: Look) -> None:
        look()
        file.write_text(line(1) + line(1, 1)[:40])
        look()
        assert answers() == [(1, 0, "Answer 1.0")]
        first = RunRollout.objects.get()
        file.write_text(steps(1, 2))
        look()
        look()
        assert [row[:2] for row in answers()] == [(1, 0), (1, 1), (2, 0), (2, 1)]
        assert RunRollout.objects.earliest("pk") == first, "what is known is not written again"

    def test_everything_of_an_answer_is_kept(self, file: Path, look: Look) -> None:
        file.write_text(line(7, finished=False, kl=-0.5, rewards={"reward_0": 1, "reward_ends": 2}))
        look()
        row = RunRollout.objects.get()
        assert row.prompt == [{"role": "user", "content": "Question 7?"}]
        assert (row.finished, row.tokens, row.shortened) == (False, 3, False)
        assert (row.reward, row.score, row.kl) == (0.5, 0.25, -0.5)
        assert row.rewards == {"reward_0": 1, "reward_ends": 2}
        assert row.values == [0.1, 0.2, 0.3]

    @pytest.mark.parametrize(
        "garbage",
        [
            '{"step": 1, "prompt"\n',
            "\n",
            "[1, 2]\n",
            "\x00\x01\n",
            line(0),
            line(2**40),
            line(1, reward=None),
            line(1, kl=float("nan")),
            line(1, score=True),
            line(1, prompt="Hello"),
            line(1, prompt=[{"role": "root", "content": "x"}]),
            line(1, prompt=["x"]),
            line(1, answer=4),
            line(1, values={"a": 1}),
            line(1, values=["a"]),
            line(1, rewards=[1]),
            line(1, tokens=-1),
        ],
        ids=range(17),
    )
    def test_what_is_no_answer_is_skipped(self, file: Path, look: Look, garbage: str) -> None:
        file.write_text(line(1) + garbage + line(1, 1))
        look()
        assert [row[:2] for row in answers()] == [(1, 0), (1, 1)]

    def test_steps_that_go_back_in_one_file_are_skipped(self, file: Path, look: Look) -> None:
        file.write_text(steps(3) + steps(2) + steps(3, 4))
        look()
        assert [row[:2] for row in answers()] == [(3, n) for n in range(4)] + [(4, 0), (4, 1)]

    def test_texts_are_bounded_and_fit_to_be_stored(self, file: Path, look: Look) -> None:
        prompt = [{"role": role, "content": "q" * 15_000} for role in ("system", "user")]
        file.write_text(
            line(1, answer="a\0" * 50_000, prompt=prompt, values=[0.5] * 9_000)
            + line(1, answer="\0", prompt=[{"role": "user", "content": "\0?"}])
        )
        look()
        long, nul = RunRollout.objects.order_by("number")
        assert long.shortened
        assert len(long.answer) == rollout_keeping.ANSWER
        assert [len(message["content"]) for message in long.prompt] == [5_000, 15_000]
        assert len(long.values) == rollout_keeping.VALUES
        assert (nul.answer, nul.prompt) == ("", [{"role": "user", "content": "?"}])

    def test_a_long_file_comes_in_parts_and_a_line_without_end_is_passed_over(
        self, file: Path, look: Look, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rollout_lines, "AT_A_TIME", 1000)
        file.write_text(steps(*range(1, 9)) + line(9, answer="x" * 5000) + steps(10))
        look()
        assert kept() == [*range(1, 9), 10]

    def test_a_part_is_written_twice_without_harm(
        self, run: TrainingRun, file: Path, look: Look
    ) -> None:
        """The connection may break when it is written and nobody has said so."""
        file.write_text(steps(1, 2))
        reader = Rollouts(run, file)
        part = reader.look()
        assert part is not None
        reader.write(part)
        reader.write(part)
        assert len(answers()) == 4


@pytest.mark.django_db
class TestARunThatGoesOn:
    def test_as_the_engine_itself_writes_and_rewinds(
        self, run: TrainingRun, file: Path, look: Look
    ) -> None:
        made = {step: [json.loads(line(step, n)) for n in range(2)] for step in range(1, 5)}
        table = Table(file)
        for step in (1, 2, 3, 4):
            table.add(step, made[step])
            look()
        with file.open("a") as opened:
            opened.write('{"step": 5, "prom')
        look()
        second = Table(file)
        second.add(3, [json.loads(line(3, answer="Again \u2028 and é"))])
        of_another_start(run, file)
        assert [row[:2] for row in answers()] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
        assert answers()[-1][2] == "Again \u2028 and é"

    def test_the_steps_it_repeats_are_replaced(self, file: Path, look: Look) -> None:
        file.write_text(steps(1, 2, 3, 4))
        look()
        before = list(RunRollout.objects.filter(step__lte=2).order_by("pk"))
        replace(file, steps(1, 2))
        look()
        assert kept() == [1, 2]
        replace(file, steps(1, 2) + steps(3, answer="Again"))
        look()
        assert answers()[4:] == [(3, 0, "Again"), (3, 1, "Again")]
        assert list(RunRollout.objects.filter(step__lte=2).order_by("pk")) == before

    def test_another_start_reads_only_what_is_new(
        self, run: TrainingRun, file: Path, look: Look, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text(steps(*range(1, 200)))
        look()
        before = RunRollout.objects.earliest("pk")
        replace(file, steps(*range(1, 150)) + steps(150, answer="Again"))
        parsed: list[bytes] = []
        real = rollout_lines._row

        def counted(one: bytes) -> Any:
            parsed.append(one)
            return real(one)

        monkeypatch.setattr(rollout_lines, "_row", counted)
        of_another_start(run, file)
        assert len(parsed) == 2
        assert kept() == list(range(1, 151))
        assert [row[2] for row in answers()[-2:]] == ["Again"] * 2
        assert RunRollout.objects.earliest("pk") == before

    def test_a_step_that_was_read_in_part(self, run: TrainingRun, file: Path, look: Look) -> None:
        file.write_text(steps(1) + line(2, 0))
        look()
        file.write_text(steps(1, 2))
        of_another_start(run, file)
        assert [row[:2] for row in answers()] == [(1, 0), (1, 1), (2, 0), (2, 1)]

    def test_a_file_of_another_machine(self, run: TrainingRun, file: Path, look: Look) -> None:
        file.write_text(steps(1, 2, 3))
        look()
        replace(file, steps(1, answer="Elsewhere"))
        of_another_start(run, file)
        assert answers() == [(1, 0, "Elsewhere"), (1, 1, "Elsewhere")]


class TestWhichAreKept:
    def test_all_while_there_is_room(self) -> None:
        assert to_drop([]) is None
        assert to_drop([(step, 100) for step in range(1, 101)]) is None

    def test_then_the_middle_goes_by_whole_steps(self) -> None:
        counts = [(step, 300) for step in range(1, 41)]
        first, last = to_drop(counts) or (0, 0)
        assert (first, last) == (7, 13), "6 of 300 fill 2,000, and 27 the 8,200 that are left"
        left = [one for one in counts if not first <= one[0] <= last]
        assert to_drop(left) is None

    def test_one_step_of_each_end_at_least(self) -> None:
        assert to_drop([(1, 9_000), (2, 1_000), (3, 9_000)]) == (2, 2)
        assert to_drop([(1, 9_000), (3, 9_000)]) is None

    @pytest.mark.django_db
    def test_it_stays_bounded_while_the_run_goes_on_and_back(
        self, run: TrainingRun, file: Path, look: Look, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rollout_keeping, "MOST", 20)
        monkeypatch.setattr(rollout_keeping, "FIRST", 4)
        monkeypatch.setattr(rollout_lines, "ANSWERS_A_STEP", 3)
        with file.open("a") as opened:
            for step in range(1, 31):
                opened.write(steps(step, a_step=2 + step % 4))
                opened.flush()
                look()
        assert kept()[0] == 1
        assert kept()[-1] == 30
        assert RunRollout.objects.count() <= 20
        replace(file, steps(*range(1, 13)))
        of_another_start(run, file)
        assert kept()[-1] == 12
        assert RunRollout.objects.count() <= 20


@pytest.mark.django_db
class TestWithTheRest:
    def test_a_database_that_is_away_loses_nothing(
        self, run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = RunFiles(tmp_path)
        folder.rollouts.write_text(steps(1))
        sync = Sync(run, folder)
        with monkeypatch.context() as patch:

            def away(*_: object, **__: object) -> None:
                raise OperationalError("gone")

            patch.setattr(leases, "beat", away)
            patch.setattr("training.services.runs.syncing.connection.close", lambda: None)
            sync.once()
        assert answers() == []
        sync.once()
        assert [row[:2] for row in answers()] == [(1, 0), (1, 1)]

    def test_who_lost_the_run_writes_nothing(self, run: TrainingRun, tmp_path: Path) -> None:
        folder = RunFiles(tmp_path)
        folder.rollouts.write_text(steps(1))
        TrainingRun.objects.filter(pk=run.pk).update(lease="0" * 32)
        with pytest.raises(leases.LeaseLost):
            Sync(run, folder).once()
        assert answers() == []

    def test_the_file_stays_when_the_run_is_over(self, tmp_path: Path) -> None:
        folder = RunFiles(tmp_path)
        folder.rollouts.write_text(steps(1))
        folder.tidy()
        assert folder.rollouts.exists()


@pytest.fixture
def rollouts(run: TrainingRun, file: Path, look: Look) -> list[RunRollout]:
    file.write_text(
        line(1, reward=0.5, kl=0.0, tokens=5)
        + line(1, 1, reward=2.5, kl=1.0, tokens=9, finished=False, answer="word " * 200)
        + line(2, reward=-1.5, kl=4.0, tokens=2, rewards={"reward_0": -1.0, "reward_ends": -0.25})
        + line(2, 1, reward=0.5, kl=-0.5, tokens=5)
        + line(3, reward=0.1, kl=1e-05, tokens=5)
    )
    look()
    return list(RunRollout.objects.order_by("pk"))


@pytest.fixture
def vera(tone: Project) -> APIClient:
    return cast.signed_in(cast.member(tone, "vera", Role.VIEWER))


@pytest.mark.django_db
class TestTheList:
    PATH = "/api/projects/tone/runs/1/rollouts"

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            ("", [5, 3, 4, 1, 2]),
            ("newest", [5, 3, 4, 1, 2]),
            ("reward_high", [2, 1, 4, 5, 3]),
            ("reward_low", [3, 5, 1, 4, 2]),
            ("kl_high", [3, 2, 5, 1, 4]),
            ("longest", [2, 1, 4, 5, 3]),
            ("shortest", [3, 1, 4, 5, 2]),
        ],
    )
    @pytest.mark.parametrize("limit", [2, 100])
    def test_in_an_order_page_by_page(
        self,
        vera: APIClient,
        rollouts: list[RunRollout],
        order: str,
        expected: list[int],
        limit: int,
    ) -> None:
        found: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"order": order, "limit": str(limit), "cursor": cursor}
            body = vera.get(self.PATH, query).json()
            assert len(body["results"]) <= limit
            found += [row["id"] for row in body["results"]]
            cursor = body["next"]
        assert found == [rollouts[place - 1].pk for place in expected]

    def test_a_row_shows_beginnings(self, vera: APIClient, rollouts: list[RunRollout]) -> None:
        row = vera.get(self.PATH, {"order": "longest"}).json()["results"][0]
        assert row["prompt_excerpt"] == "Question 1?"
        assert row["answer_excerpt"].endswith("…")
        assert len(row["answer_excerpt"]) == 280
        assert (row["finished"], row["tokens"], row["number"]) == (False, 9, 1)
        assert "values" not in row

    def test_of_one_step(self, vera: APIClient, rollouts: list[RunRollout]) -> None:
        body = vera.get(self.PATH, {"step": "2", "order": "reward_high"}).json()
        assert [row["reward"] for row in body["results"]] == [0.5, -1.5]
        assert vera.get(self.PATH, {"step": "99"}).json() == {"results": [], "next": None}

    def test_which_steps_there_are(self, vera: APIClient, rollouts: list[RunRollout]) -> None:
        body = vera.get(f"{self.PATH}/kept").json()
        assert [(one["step"], one["answers"]) for one in body["steps"]] == [(1, 2), (2, 2), (3, 1)]
        assert (body["answers"], body["newest"], body["gap"]) == (5, rollouts[-1].pk, None)
        assert body["limits"] == {"answers": 10_000, "first": 2_000, "of_step": 1_000}
        RunRollout.objects.filter(step=2).delete()
        assert vera.get(f"{self.PATH}/kept").json()["gap"] == {"first": 2, "last": 2}

    @pytest.mark.parametrize(
        ("query", "word"),
        [
            ({"order": "best"}, "one of newest"),
            ({"step": "-1"}, "whole number"),
            ({"step": "9" * 30}, "whole number"),
            ({"cursor": "x"}, "earlier answer"),
            ({"cursor": "1e999_1"}, "earlier answer"),
            ({"cursor": "1_²"}, "earlier answer"),
            ({"limit": "many"}, "a number"),
        ],
    )
    def test_what_cannot_be_asked_is_said_in_words(
        self, vera: APIClient, rollouts: list[RunRollout], query: dict[str, str], word: str
    ) -> None:
        response = vera.get(self.PATH, query)
        assert response.status_code == 400
        assert word in response.json()["error"]["message"]

    def test_an_odd_cursor_ends_the_list(self, vera: APIClient, rollouts: list[RunRollout]) -> None:
        for value in ("-1e300_1", "-99999999999999999999_1", "0.5_1"):
            assert vera.get(self.PATH, {"cursor": value}).json()["results"] == []


@pytest.mark.django_db
class TestOne:
    PATH = TestTheList.PATH

    def test_the_whole_of_it(
        self, vera: APIClient, run: TrainingRun, rollouts: list[RunRollout], ada: User
    ) -> None:
        rewards = [f"adapters/{HASH}", "rules:ends"]
        run.spec["ppo"] = {"rewards": rewards, "reward_weights": [2.0, 0.5], "baseline": "critic"}
        run.save()
        other = TrainingRun.objects.get(pk=run.pk)
        other.pk, other.number = None, 2
        other.save()
        TrainedAdapter.objects.create(
            project=run.project, number=7, run=other, base="b", content_hash=HASH, bytes=1
        )
        body = vera.get(f"{self.PATH}/{rollouts[2].pk}").json()
        assert body["prompt"] == [{"role": "user", "content": "Question 2?"}]
        assert body["answer"] == "Answer 2.0"
        assert body["values"] == [0.1, 0.2, 0.3]
        assert body["rewards"] == [
            {"name": rewards[0], "adapter": 7, "weight": 2.0, "value": -1.0},
            {"name": "rules:ends", "adapter": None, "weight": 0.5, "value": -0.25},
        ]
        run.spec["ppo"] = {"rewards": [], "baseline": "rloo"}
        run.save()
        body = vera.get(f"{self.PATH}/{rollouts[2].pk}").json()
        assert body["values"] == []
        assert [one["name"] for one in body["rewards"]] == ["0", "ends"]

    def test_only_of_this_run_and_for_who_may_read(
        self, vera: APIClient, tone: Project, create: Create, rollouts: list[RunRollout]
    ) -> None:
        create()
        address = f"{self.PATH}/{rollouts[0].pk}"
        assert vera.get(address.replace("runs/1", "runs/2")).status_code == 404
        assert vera.get(f"{self.PATH}/999999999").status_code == 404
        lena = cast.signed_in(cast.member(tone, "lena", Role.LABELER))
        mallory = cast.signed_in(cast.person("mallory"))
        for path in (self.PATH, f"{self.PATH}/kept", address):
            assert vera.get(path).status_code == 200
            assert lena.get(path).status_code == 403
            assert mallory.get(path).status_code == 404
