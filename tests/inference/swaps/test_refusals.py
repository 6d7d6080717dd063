"""A swap that fails changes nothing, and says why."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from inference import examination
from inference.adapters import SWAP, roll_back, serve_adapter
from inference.errors import SwapRefused
from inference.loading import bring
from inference.models import Adapter, ModelAlias, Replica
from tests.inference import fake_vllm
from tests.inference.adapter_folders import registered, write_adapter
from tests.inference.fake_vllm import FakeVllm
from tests.inference.swaps.acting import answering, copy_of, look, refusal, serve, state, zero
from tests.inference.test_replicas import held_elsewhere

pytestmark = pytest.mark.django_db


def test_of_two_swaps_at_once_one_is_refused(red: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.adapters.SWAP_WAIT_S", 0.1)
    with held_elsewhere(SWAP):
        assert "just being swapped in" in refusal(red)
    assert serve(red).current == red


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda f: setattr(f, "loads_adapters", False), "--enable-lora"),
        (lambda f: setattr(f, "max_loras", 2), "places for 2 adapters"),
        (lambda f: setattr(f, "lists_only", True), "did not pass its test"),
        (
            lambda f: f.lora_script.append(
                fake_vllm.error(500, "LoRA rank 8 is greater than max_lora_rank 1.")
            ),
            "has rank 8, .* takes at most 1. Start it with --max-lora-rank 8",
        ),
        (lambda f: f.lora_script.append(fake_vllm.error(500, "no space")), "did not load .*space"),
        (lambda f: f.lora_script.append(fake_vllm.raw(b"ok")), "does not list it"),
        (lambda f: setattr(f, "ignores_adapters", True), "to the last digit, although it has"),
        (lambda f: f.lora_script.append(fake_vllm.hang_up), "was not swapped in: .*reached"),
    ],
    ids=["no LoRA", "full", "lies", "rank", "error", "not listed", "ignored", "killed"],
)
def test_a_load_that_fails_leaves_everything_as_it_was(
    ready: FakeVllm, red: Adapter, prepare: Callable[[FakeVllm], None], said: str
) -> None:
    prepare(ready)
    with pytest.raises(SwapRefused, match=said):
        serve(red)
    assert ready.adapters() == []
    assert not ModelAlias.objects.exists()
    assert answering("base") == "base"
    assert state(red) == "retired"


def test_an_adapter_without_weights_may_answer_as_its_base(ready: FakeVllm, tmp_path: Path) -> None:
    """It was trained for nothing; the server is not to blame."""
    ready.ignores_adapters = True
    folder = write_adapter(tmp_path / "untrained", scale=0.0)
    adapter = registered(folder)
    assert serve(adapter).current == adapter


def test_what_was_served_before_a_failed_swap_still_is(
    ready: FakeVllm, red: Adapter, blue: Adapter
) -> None:
    serve(red)
    ready.lora_script = [fake_vllm.error(500, "out of memory")]
    assert "out of memory" in refusal(blue)
    assert (answering(), state(red)) == (str(red), "serving")
    serve(blue)
    assert answering() == str(blue)


def test_an_adapter_that_disturbs_others_is_taken_back(
    ready: FakeVllm, red: Adapter, blue: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(red)
    good = ready.answer

    def disturbed(body: fake_vllm.Json) -> fake_vllm.Json:
        mixed = body["model"] == str(red) and len({r.get("model") for r in ready.under_way}) > 1
        return fake_vllm.good_reply(body, str(blue)) if mixed else good(body)

    monkeypatch.setattr(ready, "answer", disturbed)
    ready.delay_s = 0.02
    assert f'"{red}" would suffer' in refusal(blue)
    assert ready.adapters() == [zero(), str(red)]


def test_what_is_said_to_be_served_is(
    ready: FakeVllm, red: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica passes the test and is given up by the regular checks at the same moment."""

    def given_up(replica: Replica, adapters: Sequence[Adapter]) -> None:
        bring(replica, adapters)
        Replica.objects.update(state=Replica.State.FAILING, message="It did not answer.")

    monkeypatch.setattr("inference.adapters.bring", given_up)
    monkeypatch.setattr("inference.adapters.SERVED_WAIT_S", 0.2)
    assert f"that loaded {red} answers now" in refusal(red)
    assert not ModelAlias.objects.exists()
    monkeypatch.undo()
    look()
    serve(red)
    assert answering() == str(red)


def test_a_replica_that_answers_a_whole_test_has_missed_nothing(
    ready: FakeVllm, red: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks that timed out beside it do not add up with the next one."""
    record = examination._record_verdicts

    def beside_checks(*test: Any) -> bool:
        Replica.objects.update(misses=2)
        return record(*test)

    monkeypatch.setattr(examination, "_record_verdicts", beside_checks)
    serve(red)
    assert Replica.objects.get().misses == 0


def test_one_replica_that_fails_stops_the_swap_on_all(
    ready: FakeVllm, second: FakeVllm, red: Adapter
) -> None:
    second.lora_script = [fake_vllm.error(500, "no")]
    refusal(red)
    assert str(red) not in ready.models
    serve(red)
    assert str(red) in ready.models
    assert str(red) in second.models


def test_no_replica_is_ready(ready: FakeVllm, red: Adapter) -> None:
    Replica.objects.update(state="down")
    assert "No inference server is ready" in refusal(red)


def test_a_tampered_adapter_is_refused_before_it_is_loaded(
    ready: FakeVllm, red: Adapter, tmp_path: Path
) -> None:
    stored = tmp_path / "stored" / red.content_hash
    (stored / "adapter_model.safetensors").write_bytes(b"x")
    assert "cut off or was changed" in refusal(red)
    assert ready.lora_calls == []


def test_a_tampered_copy_is_made_anew(
    ready: FakeVllm, red: Adapter, blue: Adapter, settings: Settings
) -> None:
    serve(red)
    (copy_of(red, settings) / "adapter_model.safetensors").write_bytes(b"x")
    ready.restart()
    look()
    look()
    assert answering() == str(red)
    assert (copy_of(red, settings) / "adapter_model.safetensors").stat().st_size > 100


def test_what_cannot_be_served_is_not_registered(ready: FakeVllm, tmp_path: Path) -> None:
    for number, (options, base, said) in enumerate(
        [
            ({"rank": 600}, "base", "at most 512"),
            ({"base_name": "other"}, "base", 'trained on "other"'),
            ({}, "stranger", "No inference server has served"),
        ]
    ):
        folder = write_adapter(tmp_path / str(number), **options)  # type: ignore[arg-type]
        with pytest.raises(SwapRefused, match=said):
            registered(folder, base)


def test_names_keep_their_meaning(red: Adapter) -> None:
    with pytest.raises(SwapRefused, match="a model of its own"):
        serve_adapter(alias="base", base="base", adapter_id=red.pk)
    serve(red)
    with pytest.raises(SwapRefused, match="another base"):
        serve_adapter(alias="helper", base="other", adapter_id=None)
    with pytest.raises(SwapRefused, match="no adapter of"):
        serve_adapter(alias="new", base="other", adapter_id=red.pk)
    with pytest.raises(SwapRefused, match="Nothing was ever served"):
        roll_back(alias="nobody")
