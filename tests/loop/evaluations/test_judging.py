"""A reward model judges the answers: by a real child process, and every way it can end."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from annotate.models import Project, Prompt, User
from tests.loop.evaluations.conftest import Evaluate, Make
from tests.loop.trained import MEASURED, keep_adapter
from tests.training.test_runs import ranking
from tests.training.tiny import save_tiny
from tests.training.trl_runs import make_spec, told_by, write_lines
from training.engine.methods.reward import run_reward
from training.engine.process import RunFolder
from training.models import Evaluation, EvaluationAnswer, EvaluationState, Side, TrainedAdapter
from training.queries import evaluations as reads
from training.services.evaluations import cancel_evaluation, judging
from training.services.evaluations.judging import judge_evaluation
from training.services.runs import running

Settings = Any
Act = Callable[["Scripted"], int | None]
pytestmark = pytest.mark.django_db

SHORT, LONG = "red", "red red red red red red red red red"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model named "base", and a reward adapter of it that likes short answers."""
    root = tmp_path_factory.mktemp("judge")
    model = save_tiny("llama", root / "base")
    rankings = write_lines(root / "rankings.jsonl", [ranking(number) for number in range(24)])
    spec = make_spec("reward", model, {"rankings": [rankings]}, training={"max_steps": 8})
    told_by(run_reward, spec, RunFolder(root / "run"))
    return {"model": model, "adapter": root / "run" / "adapter"}


@pytest.fixture
def judge(tone: Project, ada: User, engine: dict[str, Path], settings: Settings) -> TrainedAdapter:
    settings.TRAINING_MODEL = str(engine["model"])
    return keep_adapter(tone, ada, engine["adapter"], method="reward")


@pytest.fixture
def answered(evaluate: Evaluate, judge: TrainedAdapter, held_out: list[Prompt]) -> Evaluation:
    """Both sides have answered four prompts: short against long twice, long against short, tie."""
    evaluation = evaluate(judge_id=judge.pk)
    Evaluation.objects.update(state=EvaluationState.JUDGING, prompts=4)
    texts = [(SHORT, LONG), (SHORT, LONG), (LONG, SHORT), (SHORT, SHORT)]
    for prompt, pair in zip(held_out, texts, strict=True):
        for side, text in zip(Side, pair, strict=True):
            EvaluationAnswer.objects.create(
                evaluation=evaluation,
                prompt=prompt,
                side=side,
                text=text,
                tokens=len(text),
                finish_reason="stop",
            )
    evaluation.refresh_from_db()
    return evaluation


class Scripted:
    """In place of the child process: does what a test says each time it is waited for."""

    acts: Sequence[Act] = ()
    made: list["Scripted"] = []

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.folder = log.parent
        self.log = log
        self.left = list(type(self).acts)
        self.asked = self.killed = False
        type(self).made.append(self)

    def wait(self, _seconds: float) -> int | None:
        return self.left.pop(0)(self) if self.left else None

    def ask_to_stop(self) -> None:
        self.asked = True

    def kill(self) -> None:
        self.killed = True

    def write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(json.dumps(content))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Scripted]]:
    def scripted(*acts: Act) -> list[Scripted]:
        monkeypatch.setattr(Scripted, "acts", acts)
        monkeypatch.setattr(Scripted, "made", [])
        monkeypatch.setattr(judging, "Child", Scripted)
        return Scripted.made

    return scripted


def judged(evaluation: Evaluation) -> Evaluation:
    judge_evaluation(evaluation_id=evaluation.pk)
    evaluation.refresh_from_db()
    return evaluation


def lives_on(_child: Scripted) -> None:
    return None


def ends(code: int) -> Act:
    return lambda _child: code


def result(state: str, code: int, message: str = "", advice: str = "") -> Act:
    def act(child: Scripted) -> int:
        child.write("result.json", {"state": state, "message": message, "advice": advice})
        return code

    return act


def says(step: int) -> Act:
    return lambda child: child.write(
        "heartbeat.json", {"phase": "scoring", "step": step, "steps": 8}
    )


def test_the_judge_s_own_rewards_make_the_win_rate(
    answered: Evaluation, judge: TrainedAdapter, tmp_path: Path
) -> None:
    evaluation = judged(answered)
    assert evaluation.state == EvaluationState.READY, evaluation.message
    rewards = {answer.text: answer.reward or 0.0 for answer in evaluation.answers.all()}
    assert rewards[SHORT] > rewards[LONG]
    report = evaluation.report
    assert report is not None
    won = report["win_rate"]
    assert (won["wins"], won["ties"], won["losses"], won["value"]) == (2, 1, 1, 0.625)
    assert report["judge"] == {"adapter": judge.number, "accuracy": MEASURED["accuracy"]}
    assert report["rewards"]["candidate"] > report["rewards"]["incumbent"]
    assert (evaluation.lease, evaluation.message) == (None, "")
    assert not (tmp_path / "scores" / str(evaluation.pk)).exists()
    assert reads.to_judge() == []


def test_it_says_how_far_it_is(answered: Evaluation, script: Any) -> None:
    seen = []

    def look(_child: Scripted) -> None:
        seen.append(Evaluation.objects.get().message)

    script(says(3), look, says(5), look, ends(-9))
    judged(answered)
    assert seen == ["The judge: scoring: 3 of 8 answers", "The judge: scoring: 5 of 8 answers"]


def test_what_the_child_reads_is_what_was_asked_and_answered(
    answered: Evaluation, judge: TrainedAdapter, engine: dict[str, Path], script: Any
) -> None:
    seen = {}

    def look(child: Scripted) -> int:
        seen["scoring"] = json.loads((child.folder / "scoring.json").read_text())
        lines = (child.folder / "answers.jsonl").read_text().splitlines()
        seen["answers"] = [json.loads(line) for line in lines]
        return -9

    EvaluationAnswer.objects.filter(text=LONG).update(finish_reason=reads.REFUSED)
    script(look)
    judged(answered)
    assert seen["scoring"]["base"] == {"model": str(engine["model"]), "precision": "fp32"}
    assert seen["scoring"]["adapter"].endswith(judge.content_hash)
    assert seen["scoring"]["tokens_per_pack"] == 4096
    assert len(seen["answers"]) == 5
    first = seen["answers"][0]
    kept = EvaluationAnswer.objects.get(pk=first["id"])
    assert (first["completion"], first["finish_reason"]) == (kept.text, "stop")
    assert first["messages"] == kept.prompt.messages


def test_a_failure_of_the_engine_is_told_in_its_words(answered: Evaluation, script: Any) -> None:
    script(result("failed", 4, "The machine has not enough memory.", "Start the run again."))
    evaluation = judged(answered)
    assert evaluation.state == EvaluationState.FAILED
    assert evaluation.message.startswith("The judge failed: The machine has not enough memory.")


def test_one_that_is_killed_is_tried_again_and_not_for_ever(
    answered: Evaluation, script: Any
) -> None:
    script(ends(-9))
    for _ in range(judging.ATTEMPTS):
        assert judged(answered).state == EvaluationState.JUDGING
        assert reads.to_judge() == [answered.pk]
    evaluation = judged(answered)
    assert evaluation.state == EvaluationState.FAILED
    assert "was lost 3 times" in evaluation.message


def test_one_that_cannot_begin_fails_with_the_last_word_of_its_log(
    answered: Evaluation, script: Any
) -> None:
    def dies(child: Scripted) -> int:
        child.log.write_text("No module named torch\n")
        return 1

    script(dies)
    evaluation = judged(answered)
    assert evaluation.state == EvaluationState.FAILED
    assert "No module named torch" in evaluation.message


def test_canceled_the_child_is_ended(answered: Evaluation, ada: User, script: Any) -> None:
    def cancel(_child: Scripted) -> None:
        cancel_evaluation(evaluation_id=answered.pk, actor_id=ada.pk)

    children = script(lives_on, cancel)
    assert judged(answered).state == EvaluationState.CANCELED
    (child,) = children
    assert (child.asked, child.killed) == (True, True)


def test_a_worker_that_was_thought_dead_gives_way(answered: Evaluation, script: Any) -> None:
    other = uuid4()

    def taken(_child: Scripted) -> None:
        Evaluation.objects.update(lease=other)

    children = script(taken)
    evaluation = judged(answered)
    assert (evaluation.state, evaluation.lease) == (EvaluationState.JUDGING, other)
    assert children[0].asked


def test_it_is_taken_from_a_worker_that_is_silent_and_from_no_other(
    answered: Evaluation, script: Any
) -> None:
    children = script(ends(-9))
    Evaluation.objects.update(lease=uuid4(), heartbeat_at=timezone.now())
    judged(answered)
    assert (children, reads.to_judge()) == ([], [])
    Evaluation.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    assert reads.to_judge() == [answered.pk]
    judged(answered)
    assert len(children) == 1


def test_a_worker_that_is_asked_to_stop_gives_it_back(
    answered: Evaluation, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_child: Scripted) -> None:
        running.stopping.set()

    children = script(stop)
    try:
        evaluation = judged(answered)
    finally:
        running.stopping.clear()
    assert (evaluation.state, evaluation.lease, evaluation.attempts) == ("judging", None, 0)
    assert children[0].asked


def test_a_child_that_hangs_is_ended(
    answered: Evaluation, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "PROGRESS_WITHIN_S", -1.0)
    children = script(lives_on)
    assert "made no progress" in judged(answered).message
    assert children[0].killed


def test_a_judge_of_another_base_or_without_files_is_refused_in_words(
    answered: Evaluation, judge: TrainedAdapter, settings: Settings, tmp_path: Path, make: Make
) -> None:
    settings.TRAINING_MODEL = "owner/another-model"
    evaluation = judged(answered)
    assert evaluation.state == EvaluationState.FAILED
    assert "TRAINING_MODEL is owner/another-model now" in evaluation.message
    Evaluation.objects.update(state=EvaluationState.JUDGING, finished_at=None)
    (tmp_path / "stored" / judge.content_hash / "adapter.json").unlink()
    assert "not in the storage any more" in judged(answered).message


def test_folders_that_nobody_needs_go(answered: Evaluation, ada: User, settings: Settings) -> None:
    kept, gone = (Path(settings.TRAINING_SCORES) / str(pk) for pk in (answered.pk, 10**9))
    for folder in (kept, gone):
        folder.mkdir(parents=True)
    judging.tidy_scores()
    assert (kept.exists(), gone.exists()) == (True, False)
    cancel_evaluation(evaluation_id=answered.pk, actor_id=ada.pk)
    judging.tidy_scores()
    assert kept.exists(), "somebody may retry it"
    Evaluation.objects.update(finished_at=timezone.now() - timedelta(days=400))
    judging.tidy_scores()
    assert not kept.exists()


def test_a_message_is_sent_once_a_minute(answered: Evaluation) -> None:
    assert judging.to_send() == [answered.pk]
    assert judging.to_send() == []
