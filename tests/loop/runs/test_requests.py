"""Asking for runs: through the API by whom it may be, refused by field, canceled and resumed."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from annotate.errors import Conflict, Invalid
from annotate.models import AuditEvent, Project, Role, User
from inference.locks import key_of
from tests import cast
from tests.loop.runs.conftest import Create, Settings
from tests.loop.trained import make_adapter
from training.models import RunMetric, RunState, Snapshot, TrainingRun
from training.runs import memory
from training.services import runs
from training.services.runs import estimates, leases

RUNS = "/api/projects/tone/runs"
BODY: dict[str, Any] = {
    "snapshot": 1,
    "method": "dpo",
    "preset": "135m-cpu",
    "values": {"optimizer": {"lr": 1e-4}},
}
ESTIMATE = {
    "rows": [
        {"part": "weights, fp32", "bytes": 100 * 2**20, "when": "always"},
        {"part": "activations", "bytes": 2**20, "when": "training"},
    ],
    "training": 101 * 2**20,
    "inference": 120 * 2**20,
    "device": "cpu",
    "available": 64 * 2**20,
}


def state(run: TrainingRun) -> str:
    return str(TrainingRun.objects.values_list("state", flat=True).get(pk=run.pk))


def test_a_run_is_created_and_shown(tone: Project, ada: User, snapshot: Snapshot) -> None:
    client = cast.signed_in(ada)
    made = client.post(RUNS, BODY, format="json")
    assert made.status_code == 201, made.content
    shown = client.get(f"{RUNS}/1").json()
    assert shown == made.json()
    assert (shown["state"], shown["method"], shown["snapshot"]) == ("queued", "dpo", 1)
    assert shown["spec"]["optimizer"]["lr"] == 1e-4
    assert shown["spec"]["base"]["model"] == "tiny"
    assert (shown["estimate"], shown["adapter"], shown["latest"]) == (None, None, None)
    rows = client.get(RUNS, {"snapshot": 1}).json()["results"]
    assert [row["number"] for row in rows] == [1]
    assert client.get(RUNS, {"snapshot": 2}).json()["results"] == []
    assert AuditEvent.objects.filter(verb="created", object_type="trainingrun").count() == 1


def test_admins_ask_and_readers_read(tone: Project, create: Create) -> None:
    create()
    people = {role: cast.member(tone, role.value, role) for role in (Role.VIEWER, Role.LABELER)}
    viewer, labeler = (cast.signed_in(person) for person in people.values())
    mallory = cast.signed_in(cast.person("mallory"))
    addresses = ("", "/1", "/1/metrics", "/1/log", "/options")
    for client, reads, writes in ((viewer, 200, 403), (labeler, 403, 403), (mallory, 404, 404)):
        assert {client.get(f"{RUNS}{one}").status_code for one in addresses} == {reads}
        for address in ("", "/estimate", "/1/cancel", "/1/resume"):
            body = BODY if address in ("", "/estimate") else {}
            assert client.post(f"{RUNS}{address}", body, format="json").status_code == writes
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"snapshot": 9}, "snapshot"),
        ({"snapshot": "x"}, "snapshot"),
        ({"snapshot": 10**12}, "snapshot"),
        ({"method": "sft"}, "snapshot"),
        ({"method": "ppoo"}, "method"),
        ({"preset": "x"}, "preset"),
        ({"parent": 7}, "parent"),
        ({"judge": 7}, "judge"),
        ({"parent_use": "x"}, "parent_use"),
        ({"values": []}, "values"),
        ({"values": {"optimizer": {"lr": "1e-4"}}}, "optimizer.lr"),
        ({"values": {"base": {"model": "/etc"}}}, "base.model"),
        ({"values": {"lora": {"targets": ["a\u0000"]}}}, None),
    ],
)
def test_garbage_is_refused_by_field(
    ada: User, snapshot: Snapshot, change: dict[str, Any], field: str | None
) -> None:
    # What only the database refuses is not written in an estimate.
    for address in ("", "/estimate") if field else ("",):
        reply = cast.signed_in(ada).post(f"{RUNS}{address}", {**BODY, **change}, format="json")
        assert reply.status_code == 400, reply.content
        assert field is None or list(reply.json()["error"]["fields"]) == [field]
    assert not TrainingRun.objects.exists()


def test_a_snapshot_must_be_ready_and_the_projects_own(
    ada: User, snapshot: Snapshot, create: Create
) -> None:
    Snapshot.objects.create(project=snapshot.project, number=2, spec=snapshot.spec, created_by=ada)
    reply = cast.signed_in(ada).post(RUNS, {**BODY, "snapshot": 2}, format="json")
    assert reply.status_code == 400
    assert "choose one that is ready" in reply.json()["error"]["message"]


def test_parents_and_judges_must_fit(
    tone: Project, ada: User, create: Create, tmp_path: Any, settings: Settings
) -> None:
    policy = make_adapter(tone, ada, tmp_path, base="tiny")
    judge = make_adapter(tone, ada, tmp_path, base="tiny", method="reward")
    elsewhere = make_adapter(tone, ada, tmp_path, base="another")
    run = create(parent_id=policy.pk, parent_use="both")
    assert run.spec["parent"] == {"adapter": f"adapters/{policy.content_hash}", "use": "both"}
    run = create(method="grpo", judge_id=judge.pk, parent_id=policy.pk)
    assert run.spec["online"]["rewards"] == [f"adapters/{judge.content_hash}"]
    # A reward model goes on from one, or starts from what answers.
    for parent in (judge, policy):
        run = create(method="reward", parent_id=parent.pk)
        assert run.spec["parent"]["adapter"] == f"adapters/{parent.content_hash}"
    for choice, field in (
        ({"parent_id": judge.pk}, "parent"),
        ({"parent_id": elsewhere.pk}, "parent"),
        ({"method": "grpo", "judge_id": policy.pk}, "judge"),
        ({"method": "grpo"}, "judge"),
        ({"judge_id": judge.pk}, "judge"),
    ):
        with pytest.raises(Invalid) as caught:
            create(**choice)
        assert list(caught.value.fields) == [field], choice


def test_the_form_says_what_can_be_trained(ada: User, snapshot: Snapshot) -> None:
    client = cast.signed_in(ada)
    shown = client.get(f"{RUNS}/options", {"snapshot": 1}).json()
    methods = {one["name"]: one for one in shown["methods"]}
    assert [name for name, one in methods.items() if one["available"]] == ["reward", "dpo", "kto"]
    assert "no demonstrations" in methods["sft"]["reason"]
    assert "reward model" in methods["rloo"]["reason"]
    assert shown["base"] == "tiny"
    assert client.get(f"{RUNS}/options").json()["methods"][0]["available"]
    assert client.get(f"{RUNS}/options", {"snapshot": 5}).status_code == 400


def test_memory_is_estimated_first_and_kept(
    ada: User, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def answer(file: Any) -> dict[str, Any]:
        asked.append(file)
        return ESTIMATE

    monkeypatch.setattr(memory, "_asked", answer)
    client = cast.signed_in(ada)
    for _ in range(2):
        found = client.post(f"{RUNS}/estimate", BODY, format="json").json()
    assert len(asked) == 1
    assert (found["available_mb"], found["fits"]) == (64, False)
    assert found["estimate"]["parts"][0] == {
        "name": "weights, fp32",
        "mb": 100,
        "when": "always",
    }
    assert found["estimate"]["total_mb"] == 101
    assert found["estimate"]["inference_mb"] == 120
    assert client.post(RUNS, BODY, format="json").json()["estimate"] == found["estimate"]


def test_a_rank_that_no_server_takes_is_a_warning(
    ada: User, snapshot: Snapshot, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be trained, and everybody is told what it will be good for."""
    settings.INFERENCE_LARGEST_RANK = 16
    monkeypatch.setattr(memory, "_asked", lambda _: ESTIMATE)
    client = cast.signed_in(ada)
    body = {**BODY, "values": {"lora": {"r": 64}}}
    (warning,) = client.post(f"{RUNS}/estimate", body, format="json").json()["warnings"]
    assert "neither evaluated nor promoted" in warning
    assert "at most 16, not 64" in warning
    made = client.post(RUNS, body, format="json")
    assert (made.status_code, made.json()["warnings"]) == (201, [warning])
    for fine in ({**BODY, "values": {"lora": {"r": 16}}}, {**body, "method": "reward"}):
        assert client.post(f"{RUNS}/estimate", fine, format="json").json()["warnings"] == []
        assert client.post(RUNS, fine, format="json").json()["warnings"] == []
    settings.INFERENCE_LARGEST_RANK = 0
    (none,) = client.post(f"{RUNS}/estimate", BODY, format="json").json()["warnings"]
    assert "INFERENCE_ADAPTERS is 0" in none


def test_layers_that_the_base_lacks_are_refused(
    ada: User, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the form's estimate and by the run itself, whether or not somebody estimated before."""
    answer = {**ESTIMATE, "layers": ["k_proj", "q_proj"]}
    monkeypatch.setattr(memory, "_asked", lambda _: answer)
    client = cast.signed_in(ada)
    body = {**BODY, "values": {"lora": {"targets": ["q_prj", "q_proj"]}}}
    for address in (RUNS, f"{RUNS}/estimate"):
        refused = client.post(address, body, format="json")
        assert refused.status_code == 400
        (why,) = refused.json()["error"]["fields"]["lora.targets"]
        assert why.startswith("The base has no linear layer q_prj. Choose among k_proj, q_proj")
    body = {**BODY, "values": {"lora": {"targets": ["q_proj"]}}}
    assert client.post(RUNS, body, format="json").status_code == 201


def test_where_nobody_knows_the_layers_the_run_begins(
    ada: User, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Any) -> Any:
        raise memory.NoEstimate("This machine has no PyTorch.")

    monkeypatch.setattr(memory, "_asked", refuse)
    body = {**BODY, "values": {"lora": {"targets": ["q_prj"]}}}
    assert cast.signed_in(ada).post(RUNS, body, format="json").status_code == 201


def test_a_machine_that_cannot_estimate_says_so(
    ada: User, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: Any) -> Any:
        raise memory.NoEstimate("This machine has no PyTorch.")

    monkeypatch.setattr(memory, "_asked", refuse)
    reply = cast.signed_in(ada).post(f"{RUNS}/estimate", BODY, format="json")
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "no_estimate")


def test_a_second_estimate_is_refused_at_once(
    ada: User, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen at once had held all places, each for up to 90 s."""
    monkeypatch.setattr(memory, "_asked", lambda file: ESTIMATE)
    client, elsewhere = cast.signed_in(ada), connection.copy()
    try:
        with elsewhere.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [key_of(estimates.LOCK)])
            reply = client.post(f"{RUNS}/estimate", BODY, format="json")
            # A connection that is closed gives its locks back a moment later.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key_of(estimates.LOCK)])
    finally:
        elsewhere.close()
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "busy")
    assert int(reply["Retry-After"]) >= 1
    assert client.post(f"{RUNS}/estimate", BODY, format="json").status_code == 200


def test_a_second_click_changes_nothing(ada: User, create: Create) -> None:
    run = create()
    for _ in range(2):
        runs.cancel_run(run_id=run.pk, actor_id=ada.pk)
    assert state(run) == RunState.CANCELED
    for _ in range(2):
        runs.resume_run(run_id=run.pk, actor_id=ada.pk)
    assert state(run) == RunState.QUEUED
    verbs = AuditEvent.objects.filter(object_type="trainingrun").values_list("verb", flat=True)
    assert sorted(verbs) == ["canceled", "created", "resumed"]


def test_a_running_one_is_asked_to_stop(ada: User, create: Create) -> None:
    run = create()
    held = leases.take(run.pk)
    assert held is not None
    for _ in range(2):
        assert runs.cancel_run(run_id=run.pk, actor_id=ada.pk).stop_requested
    client = cast.signed_in(ada)
    assert client.get(f"{RUNS}/1").json()["stopping"] is True
    with pytest.raises(Conflict, match="still stopping"):
        runs.resume_run(run_id=run.pk, actor_id=ada.pk)
    leases.stop(held)
    assert state(run) == RunState.CANCELED
    assert client.post(f"{RUNS}/1/resume").json()["state"] == "queued"


def test_what_ended_is_not_canceled_and_what_finished_not_resumed(
    ada: User, create: Create
) -> None:
    run = create()
    held = leases.take(run.pk)
    assert held is not None
    leases.fail(held, message="No.", advice="Do.")
    with pytest.raises(Conflict, match="nothing to cancel"):
        runs.cancel_run(run_id=run.pk, actor_id=ada.pk)
    client = cast.signed_in(ada)
    shown = client.get(f"{RUNS}/1").json()
    assert (shown["message"], shown["advice"]) == ("No.", "Do.")
    assert client.post(f"{RUNS}/1/resume").json()["message"] == ""
    assert client.post(f"{RUNS}/1/eat").status_code == 404


def test_metrics_are_thinned_out_but_evaluations_stay(ada: User, create: Create) -> None:
    run = create()
    RunMetric.objects.bulk_create(
        RunMetric(
            run=run,
            position=n,
            values={"step": n, "loss": 1.0, **({"evaluation_accuracy": 0.5} if n == 33 else {})},
        )
        for n in range(100)
    )
    client = cast.signed_in(ada)

    def positions(**query: int) -> list[int]:
        found = client.get(f"{RUNS}/1/metrics", query).json()
        assert found["total"] == 100
        return [row["position"] for row in found["rows"]]

    assert positions() == list(range(100))
    assert positions(points=10) == [0, 10, 20, 30, 33, 40, 50, 60, 70, 80, 90, 99]
    assert positions(after=96) == [97, 98, 99]
    assert client.get(f"{RUNS}/1/metrics", {"after": "x"}).status_code == 400
    assert client.get(f"{RUNS}/1").json()["latest"]["step"] == 99


def test_from_the_command_line(create: Create, snapshot: Snapshot, ada: User) -> None:
    def said(*words: str) -> str:
        out = io.StringIO()
        call_command("train", "tone", "--as", "ada", *words, stdout=out)
        return out.getvalue()

    given = ["--snapshot", "1", "--method", "dpo", "--preset", "135m-cpu"]
    assert said(*given, "--set", "optimizer.lr=1e-4", "--set", "dpo.loss=ipo") == "run 1\n"
    run = TrainingRun.objects.get()
    assert (run.spec["optimizer"]["lr"], run.spec["dpo"]["loss"]) == (1e-4, "ipo")
    for words, wrong in (
        ([*given, "--set", "lr=1"], "write it as"),
        ([*given, "--set", "optimizer.lr=NaN"], "optimizer.lr"),
        (["--snapshot", "7", "--method", "dpo"], "no snapshot 7"),
        (["--snapshot", "1", "--method", "sft", "--preset", "135m-cpu"], "no demonstrations"),
    ):
        with pytest.raises(CommandError, match=wrong):
            said(*words)
