"""Both sides answer through a scripted vLLM: what is asked and kept, and every interruption."""

import json
from typing import Any, SupportsIndex

import pytest

from annotate.models import Prompt, Split, User
from annotate.services import generation
from inference.models import Adapter, ModelAlias
from tests.inference import fake_vllm
from tests.inference.fake_vllm import Behaviour, FakeVllm
from tests.inference.swaps.acting import look
from tests.loop.evaluations.conftest import Evaluate, Make
from tests.promotion.conftest import elsewhere
from training import tasks
from training.evaluation.settings import EvaluationSettings
from training.models import Evaluation, EvaluationAnswer, EvaluationState, LoopStep, Side
from training.queries import evaluations as reads
from training.services.evaluations import (
    answer_store,
    cancel_evaluation,
    contenders,
    retry_evaluation,
)
from training.services.evaluations.answering import answer_evaluation
from training.services.evaluations.serving import serve_evaluation

pytestmark = pytest.mark.django_db(transaction=True)


def answer(evaluation: Evaluation) -> Evaluation:
    """Run both jobs once; the evaluation as it is then."""
    elsewhere(serve_evaluation, evaluation_id=evaluation.pk)
    answer_evaluation(evaluation_id=evaluation.pk)
    evaluation.refresh_from_db()
    return evaluation


def answers(evaluation: Evaluation, side: Side) -> list[EvaluationAnswer]:
    return list(evaluation.answers.filter(side=side).order_by("prompt__content_hash"))


def asked_for(vllm: FakeVllm, prompts: list[Prompt]) -> list[tuple[str, str]]:
    """Which model was asked which of these questions."""
    texts = {prompt.messages[-1]["content"] for prompt in prompts}
    return [
        (request["model"], request["messages"][-1]["content"])
        for request in vllm.requests
        if request.get("messages") and request["messages"][-1]["content"] in texts
    ]


class Endless(list[Behaviour]):
    """A script that is never over."""

    def pop(self, _index: SupportsIndex = 0) -> Behaviour:
        return self[0]


def meet(vllm: FakeVllm, behaviour: Behaviour) -> None:
    """What every question of an evaluation meets from now on; tests of adapters go well."""

    def behave(handler: fake_vllm.Handler) -> None:
        if handler.body.get("max_tokens") == EvaluationSettings().max_tokens:
            behaviour(handler)
        else:
            handler.send_json(200, handler.fake.answer(handler.body))

    vllm.script = Endless([behave])


def zero() -> str:
    return str(Adapter.objects.get(zero=True))


# --- what is asked and kept -----------------------------------------------------------------


def test_both_sides_answer_under_versioned_names(
    vllm: FakeVllm, evaluate: Evaluate, make: Make, held_out: list[Prompt]
) -> None:
    old, new = make(), make()
    chosen = {"prompts": 3, "temperature": 0.3, "top_p": 0.9, "max_tokens": 11}
    evaluation = answer(evaluate(candidate=new, incumbent_id=old.pk, settings=chosen))

    assert (evaluation.state, evaluation.prompts) == (EvaluationState.READY, 3)
    names = {
        side: f"base@{one.content_hash[:16]}" for side, one in zip(Side, (new, old), strict=True)
    }
    for side, adapter in zip(Side, (new, old), strict=True):
        kept = answers(evaluation, side)
        assert [one.prompt for one in kept] == held_out[:3]
        assert {one.adapter_hash for one in kept} == {adapter.content_hash}
        assert {one.text for one in kept} == {f"{names[side]} says 0"}
        assert {(one.tokens, one.finish_reason) for one in kept} == {(3, "stop")}
    asked = asked_for(vllm, held_out)
    assert sorted(asked) == sorted(
        (name, prompt.messages[-1]["content"]) for name in names.values() for prompt in held_out[:3]
    )
    (request, *_) = (r for r in vllm.requests if r.get("max_tokens") == 11)
    assert (request["temperature"], request["top_p"], request["n"]) == (0.3, 0.9, 1)


def test_the_base_answers_through_its_zero_adapter_and_counts_as_the_base(
    vllm: FakeVllm, evaluate: Evaluate, held_out: list[Prompt]
) -> None:
    evaluation = answer(evaluate())
    kept = answers(evaluation, Side.INCUMBENT)
    assert {one.text for one in kept} == {f"{zero()} says 0"}
    assert {one.adapter_hash for one in kept} == {""}


def test_without_a_judge_the_report_has_lengths_and_says_what_is_missing(
    vllm: FakeVllm, evaluate: Evaluate
) -> None:
    report = answer(evaluate()).report
    assert report is not None
    assert report["length"] == {"candidate": 3, "incumbent": 3, "ratio": 1}
    assert report["accuracy"]["value"] == 0.7
    assert report["win_rate"] is None
    assert "no reward model" in report["missing"]["win_rate"]
    assert report["notes"] == [
        "The project has 4 held-out prompts, fewer than the 64 asked for: intervals are wide. "
        "Import more prompts."
    ]


def test_with_a_judge_it_waits_to_be_judged(vllm: FakeVllm, evaluate: Evaluate, make: Make) -> None:
    evaluation = answer(evaluate(judge_id=make(method="reward").pk))
    assert (evaluation.state, evaluation.message) == (EvaluationState.JUDGING, "")
    assert (reads.to_answer(), reads.to_judge()) == ([], [evaluation.pk])


def test_documents_are_part_of_what_is_asked(
    vllm: FakeVllm, evaluate: Evaluate, held_out: list[Prompt]
) -> None:
    Prompt.objects.update(documents=[{"title": "Rivers", "text": "The Rhine is long."}])
    answer(evaluate(settings={"prompts": 1}))
    assert "The Rhine is long." in json.dumps(vllm.requests)


def test_a_later_import_and_training_prompts_are_left_alone(
    vllm: FakeVllm, evaluate: Evaluate, held_out: list[Prompt]
) -> None:
    evaluation = evaluate()
    late, training = held_out[0], held_out[1]
    Prompt.objects.filter(pk=training.pk).update(split=Split.TRAIN)
    Prompt.objects.filter(pk=late.pk).update(created_at="2100-01-01T00:00:00Z")
    answer(evaluation)
    asked = {one.prompt for one in answers(evaluation, Side.CANDIDATE)}
    assert asked == set(held_out[2:])


def test_the_aliases_go_when_it_is_done(vllm: FakeVllm, evaluate: Evaluate, make: Make) -> None:
    evaluation = evaluate(incumbent_id=make().pk)
    meet(vllm, fake_vllm.error(503, "busy"))
    answer(evaluation)
    assert _aliases() == ["tone/candidate", "tone/incumbent"], "it is not done yet"
    vllm.script = []
    answer(evaluation)
    assert evaluation.state == EvaluationState.READY
    assert _aliases() == []
    assert {a.state for a in Adapter.objects.filter(zero=False)} == {"retired"}


def _aliases() -> list[str]:
    return sorted(ModelAlias.objects.values_list("name", flat=True))


# --- interruptions --------------------------------------------------------------------------


def test_killed_in_the_middle_it_asks_only_for_what_is_missing(
    vllm: FakeVllm, evaluate: Evaluate, held_out: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = evaluate()
    kept: list[Any] = []
    real = answer_store.keep

    def dies(*args: Any) -> None:
        if len(kept) == 3:
            raise MemoryError
        kept.append(args)
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(answer_store, "keep", dies)
        with pytest.raises(MemoryError):
            answer(evaluation)
    have = {
        (one.text.removesuffix(" says 0"), one.prompt.messages[-1]["content"])
        for one in evaluation.answers.select_related("prompt")
    }
    assert len(have) == 3
    vllm.requests.clear()

    assert answer(evaluation).state == EvaluationState.READY
    # Not counted: what was under way when it died may reach the server only now.
    asked = set(asked_for(vllm, held_out))
    assert not asked & have
    assert len(asked) == 8 - 3
    assert evaluation.answers.count() == 8


def test_vllm_killed_during_an_evaluation(
    vllm: FakeVllm, evaluate: Evaluate, held_out: list[Prompt]
) -> None:
    """It dies after two answers and comes back without its adapters."""
    evaluation = evaluate()
    left = [1, 2]

    def dies(handler: fake_vllm.Handler) -> None:
        if left:
            left.pop()
            handler.send_json(200, handler.fake.answer(handler.body))
        else:
            handler.fake.always = fake_vllm.hang_up
            fake_vllm.hang_up(handler)

    meet(vllm, dies)
    waiting = answer(evaluation)
    assert waiting.state == EvaluationState.ANSWERING
    assert "cannot be reached" in waiting.message or "No inference server" in waiting.message
    done = evaluation.answers.count()
    assert 0 < done < 8

    vllm.script, vllm.always = [], None
    vllm.restart()
    look()
    look()
    vllm.requests.clear()
    assert answer(evaluation).state == EvaluationState.READY
    assert len(asked_for(vllm, held_out)) == 8 - done
    assert evaluation.message == ""
    hashes = {one.adapter_hash for one in answers(evaluation, Side.CANDIDATE)}
    assert hashes == {evaluation.candidate.content_hash}


def test_a_server_that_is_away_is_waited_for_however_long(
    vllm: FakeVllm, evaluate: Evaluate
) -> None:
    evaluation = evaluate()
    vllm.always = fake_vllm.hang_up
    look()
    for _ in range(answer_store.ATTEMPTS + 2):
        answer(evaluation)
        assert (evaluation.state, evaluation.attempts) == (EvaluationState.ANSWERING, 0)
        assert evaluation.message
    assert reads.to_answer() == [], "not again at once"
    Evaluation.objects.update(heartbeat_at="2000-01-01T00:00:00Z")
    assert reads.to_answer() == [evaluation.pk]
    vllm.always = None
    look()
    assert answer(evaluation).state == EvaluationState.READY


def test_one_that_never_answers_well_fails_with_words(
    vllm: FakeVllm, evaluate: Evaluate, ada: User
) -> None:
    evaluation = evaluate()
    meet(vllm, fake_vllm.changed(lambda reply: reply.pop("usage")))
    for _ in range(answer_store.ATTEMPTS):
        answer(evaluation)
        assert evaluation.state == EvaluationState.ANSWERING
    answer(evaluation)
    assert evaluation.state == EvaluationState.FAILED
    assert "senseless answer" in evaluation.message
    assert evaluation.message.endswith("Then retry.")
    vllm.script = []
    retry_evaluation(evaluation_id=evaluation.pk, actor_id=ada.pk)
    assert answer(evaluation).state == EvaluationState.READY


def test_an_answer_of_another_adapter_is_not_kept(
    vllm: FakeVllm, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = evaluate()
    real = contenders.served

    def confused(asked: Evaluation) -> Any:
        sides = real(asked) or {}
        return {**sides, Side.CANDIDATE: contenders.Contender("base", "f" * 64)}

    monkeypatch.setattr("training.services.evaluations.contenders.served", confused)
    answer(evaluation)
    assert "answered with another adapter" in evaluation.message
    assert answers(evaluation, Side.CANDIDATE) == []


def test_a_prompt_that_is_too_long_is_left_out(
    vllm: FakeVllm, evaluate: Evaluate, held_out: list[Prompt]
) -> None:
    long = held_out[0].messages[-1]["content"]
    too_long = fake_vllm.error(400, "This model's maximum context length is 2048 tokens.")

    def behave(handler: fake_vllm.Handler) -> None:
        if handler.body["messages"][-1]["content"] == long:
            too_long(handler)
        else:
            handler.send_json(200, handler.fake.answer(handler.body))

    meet(vllm, behave)
    evaluation = answer(evaluate())
    assert evaluation.state == EvaluationState.READY
    assert evaluation.report is not None
    assert (evaluation.report["prompts"], evaluation.report["left_out"]) == (3, 1)
    refused = evaluation.answers.filter(finish_reason=reads.REFUSED)
    assert "Shorten the prompt" in refused[0].text


def test_when_no_prompt_fits_it_fails_with_words(
    vllm: FakeVllm, evaluate: Evaluate, ada: User
) -> None:
    meet(vllm, fake_vllm.error(400, "This model's maximum context length is 2048 tokens."))
    evaluation = answer(evaluate(settings={"prompts": 1}))
    assert evaluation.state == EvaluationState.FAILED
    assert "No prompt was answered." in evaluation.message
    retry_evaluation(evaluation_id=evaluation.pk, actor_id=ada.pk)
    assert evaluation.answers.count() == 0, "they are asked for again"


@pytest.mark.parametrize(
    ("prepare", "state", "said"),
    [
        (lambda f: setattr(f, "loads_adapters", False), "answering", "--enable-lora"),
        (lambda f: setattr(f, "max_loras", 2), "answering", "places for 2 adapters"),
        (lambda f: setattr(f, "lists_only", True), "answering", "did not pass its test"),
    ],
    ids=["no LoRA", "full", "lies"],
)
def test_a_candidate_that_cannot_be_loaded_waits_and_says_why(
    prepare: Any, state: str, said: str, vllm: FakeVllm, evaluate: Evaluate
) -> None:
    prepare(vllm)
    evaluation = answer(evaluate())
    assert (evaluation.state, evaluation.attempts) == (state, 0)
    assert said in evaluation.message
    assert evaluation.answers.count() == 0


def test_files_that_are_lost_or_changed_fail_with_words(
    vllm: FakeVllm, evaluate: Evaluate, tmp_path: Any
) -> None:
    evaluation = evaluate()
    stored = tmp_path / "stored" / evaluation.candidate.content_hash
    (stored / "adapter_model.safetensors").write_bytes(b"x")
    assert answer(evaluation).state == EvaluationState.FAILED
    assert evaluation.message


def test_a_full_disk_is_a_failure_with_words(
    vllm: FakeVllm, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inference.loading.copy_adapter", full)
    evaluation = answer(evaluate())
    assert evaluation.state == EvaluationState.FAILED
    assert "No space left on device. Then retry." in evaluation.message


def test_canceled_it_stops_and_gives_the_adapter_back(
    vllm: FakeVllm, evaluate: Evaluate, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = evaluate()
    real = answer_store.keep

    def canceling(*args: Any) -> None:
        real(*args)
        cancel_evaluation(evaluation_id=evaluation.pk, actor_id=ada.pk)

    monkeypatch.setattr(answer_store, "keep", canceling)
    assert answer(evaluation).state == EvaluationState.CANCELED
    assert _aliases() == []
    before = evaluation.answers.count()
    assert answer(evaluation).answers.count() == before


def test_what_a_killed_job_left_is_released_by_beat(
    vllm: FakeVllm, evaluate: Evaluate, ada: User
) -> None:
    evaluation = evaluate()
    vllm.script = []
    contenders.serve(evaluation)
    tasks.advance_evaluations()
    assert _aliases() == ["tone/candidate"], "it still waits for its answers"
    cancel_evaluation(evaluation_id=evaluation.pk, actor_id=ada.pk)
    tasks.advance_evaluations()
    assert _aliases() == []


def test_an_ab_round_keeps_its_candidate(
    vllm: FakeVllm, evaluate: Evaluate, make: Make, ada: User
) -> None:
    first = answer(evaluate())
    step = LoopStep.objects.create(
        project=first.project,
        number=1,
        stage="humans",
        cause="by hand",
        settings={},
        evaluation=first,
        created_by=ada,
    )
    contenders.serve(first)
    second = answer(evaluate(candidate=make()))
    assert second.state == EvaluationState.ANSWERING
    assert "People compare the candidate of the loop's step 1" in second.message
    assert ModelAlias.objects.get().current == Adapter.objects.get(
        content_hash=first.candidate.content_hash
    )
    LoopStep.objects.filter(pk=step.pk).update(state="done", finished_at=first.created_at)
    assert answer(second).state == EvaluationState.READY


def test_one_evaluation_of_a_project_at_a_time(
    vllm: FakeVllm, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = evaluate(), evaluate()
    assert reads.to_answer() == [first.pk]
    real, seen = contenders.serve, []

    def meanwhile(evaluation: Evaluation) -> Any:
        if evaluation.pk == first.pk:
            answer(second)
            seen.append(second.state)
        return real(evaluation)

    monkeypatch.setattr("training.services.evaluations.contenders.serve", meanwhile)
    assert answer(first).state == EvaluationState.READY
    assert seen == [EvaluationState.QUEUED]


def test_a_worker_that_is_asked_to_stop_leaves_the_rest_to_the_next(
    vllm: FakeVllm, evaluate: Evaluate
) -> None:
    evaluation = evaluate()
    generation.stopping.set()
    try:
        answer(evaluation)
    finally:
        generation.stopping.clear()
    assert (evaluation.state, evaluation.answers.count()) == (EvaluationState.ANSWERING, 0)
    assert answer(evaluation).state == EvaluationState.READY
