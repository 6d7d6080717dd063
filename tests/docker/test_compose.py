"""The compose file: valid, closed to the outside, and in step with `make run`."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft7Validator

from annotate import environment, settings
from annotate.environment import Environment
from annotate.launch import plan, postgres
from inference import devices, local
from inference.local import PLUGIN, LocalServer
from tests.docker import definitions
from tests.docker.definitions import DOCKER, Service, services

ONE_SHOT = {"migrate", "model", "database-role"}
VLLMS = {"vllm-cpu", "vllm-gpu", "vllm-gpu-2"}
OTHERS = {"proxy", "postgres", "database-role", "valkey", "model", *VLLMS}
# boto's own, which the setting STORAGE_URL speaks of.
OF_THE_BUCKET = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
# Settings that no container of Prefloop's own is given, and why.
ELSEWHERE = {
    "the command line": {"HOST", "PORT", "WEB_WORKERS", "WORKER_CONCURRENCY"},
    "the image": {"VAR_DIR"},
    "the local vLLM, which is a service": {
        "INFERENCE_PORT",
        "INFERENCE_CACHE_GB",
        "INFERENCE_GPUS",
        "INFERENCE_GPU_SHARE",
        "TRAINING_GPUS",
        "MAX_MODEL_LEN",
        "VLLM_ARGS",
    },
    "a file, to be mounted": {"CHAT_TEMPLATE"},
    "never in a container": {"DEBUG"},
    "the trainer alone": {"TRAINING_ROLLOUTS_API_KEY"},
}
ANYWHERE = "0.0.0.0"  # noqa: S104  # inside a container
LASTING = sorted(services().keys() - ONE_SHOT)
PREFLOOPS_OWN = sorted(services().keys() - OTHERS)


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    values = {"VAR_DIR": str(tmp_path), "HOST": ANYWHERE, "WEB_WORKERS": "2"}
    return Environment.model_validate({name.lower(): value for name, value in values.items()})


def arguments(service: str) -> list[str]:
    return [str(word) for word in services()[service]["command"]]


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    Draft7Validator(schema).validate(definitions.compose())


def test_the_example_names_every_variable_with_its_default_and_no_other() -> None:
    example = definitions.example_environment()
    example.pop("COMPOSE_PROFILES")  # compose's own
    assert example == {name: value or "" for name, value in definitions.references().items()}


def test_secrets_must_be_given_and_have_no_default() -> None:
    needed = {name for name, default in definitions.references().items() if default is None}
    passwords = {"POSTGRES_PASSWORD", "DATABASE_PASSWORD", "VALKEY_PASSWORD"}
    assert needed == {"SECRET_KEY", "INFERENCE_API_KEY", *passwords}


def test_the_example_explains_every_block_of_variables() -> None:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    variables = [number for number, line in enumerate(lines) if line and line[0] != "#"]
    assert [lines[number] for number in variables if not lines[number - 1].strip()] == []


@pytest.mark.parametrize("name", PREFLOOPS_OWN)
def test_prefloop_knows_the_variables_it_is_given(name: str) -> None:
    known = {variable for variable, _, _ in environment.variables()}
    assert set(services()[name]["environment"]) - OF_THE_BUCKET <= known


@pytest.mark.parametrize("name", PREFLOOPS_OWN)
def test_every_setting_reaches_prefloops_processes(name: str) -> None:
    settings_ = {variable for variable, _, _ in environment.variables()} | OF_THE_BUCKET
    elsewhere = set().union(*ELSEWHERE.values())
    assert elsewhere <= settings_, "a setting that no longer exists"
    given = set(services()[name]["environment"]) - ELSEWHERE["the trainer alone"]
    assert given == settings_ - elsewhere


def test_the_trainer_knows_the_key_of_the_server_that_samples_for_it() -> None:
    for name in ("trainer-cpu", "trainer-gpu"):
        assert "TRAINING_ROLLOUTS_API_KEY" in services()[name]["environment"]


def test_prefloop_works_as_a_role_of_its_own() -> None:
    """That a superuser makes with the same file as in `make run`."""
    url = urlsplit(services()["web"]["environment"]["DATABASE_URL"])
    superuser = services()["postgres"]["environment"]["POSTGRES_USER"]
    assert url.username == environment.DATABASE_ROLE != superuser
    made = services()["database-role"]
    from_here, inside, how = made["volumes"][0].split(":")
    assert ((DOCKER / from_here).resolve(), how) == (postgres.OWN_ROLE, "ro")
    (script,) = made["command"]
    assert f"\\i {inside}" in script
    assert f"--username {superuser}" in script
    assert f"ALTER ROLE {environment.DATABASE_ROLE} PASSWORD" in script
    needs = services()["migrate"]["depends_on"]
    assert needs == {"database-role": {"condition": "service_completed_successfully"}}


def test_vllm_has_two_places_more_than_adapters_are_served() -> None:
    adapters = int(services()["web"]["environment"]["INFERENCE_ADAPTERS"])
    command = arguments("vllm-cpu")
    assert int(command[command.index("--max-loras") + 1]) == adapters + 2


def test_prefloop_accepts_the_values_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in environment.variables():
        monkeypatch.delenv(name, raising=False)
    for name, value in services()["web"]["environment"].items():
        padded = value.ljust(32, "x") if name == "SECRET_KEY" else value
        monkeypatch.setenv(name, str(padded))
    env = Environment()
    assert [env.embeds_postgres, env.embeds_valkey, env.embeds_vllm] == [False] * 3
    assert env.https


@pytest.mark.parametrize(
    ("service", "process"),
    [
        ("worker", "worker"),
        ("generator", "generator"),
        ("trainer-cpu", "trainer"),
        ("trainer-gpu", "trainer"),
        ("beat", "beat"),
    ],
)
def test_jobs_run_as_in_make_run(env: Environment, service: str, process: str) -> None:
    spec = next(spec for spec in plan.jobs(env) if spec.name == process)
    (command,) = spec.commands
    own = [word.replace(str(env.var_dir), "/tmp") for word in command[1:]]  # noqa: S108
    assert arguments(service) == ["python", *own]


def test_the_web_server_runs_as_in_make_run(env: Environment) -> None:
    (command,) = plan.web(env).commands
    assert arguments("web") == ["python", *command[1:]]


@pytest.mark.parametrize("service", ["vllm-cpu", "vllm-gpu", "vllm-gpu-2"])
def test_vllm_runs_as_in_make_run(
    env: Environment, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "can_compile", lambda: True)  # the image has a compiler
    monkeypatch.setattr(local, "computes_bfloat16", lambda: True)  # of this machine, not of theirs
    server = LocalServer(
        model=f"/srv/prefloop/var/models/{env.model}",
        served_name=env.model,
        port=8000,
        api_key="inference_api_key-is-given",
        max_model_len=env.max_model_len,
        cache_gb=env.inference_cache_gb,
        adapters=env.inference_adapters,
        adapter_rank=env.inference_adapter_rank,
    )
    _, *own = server.command()
    own[own.index("127.0.0.1")] = ANYWHERE
    defined = services()[service]
    _, *entry = defined["entrypoint"]
    if service != "vllm-cpu":
        *entry, option, share = entry
        assert (option, share) == ("--gpu-memory-utilization", f"{devices.ALONE:g}")
    assert [*entry, *arguments(service)] == own
    given = {name: str(value) for name, value in defined["environment"].items()}
    expected = {**server.environment(), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for differs in ("VLLM_CPU_KVCACHE_SPACE", "PYTHONPATH"):
        expected.pop(differs, None)
    assert ("VLLM_CPU_KVCACHE_SPACE" in given) == (service == "vllm-cpu")
    assert expected.items() <= given.items()


@pytest.mark.parametrize("name", ["vllm-cpu", "vllm-gpu", "vllm-gpu-2"])
def test_vllm_finds_its_plugin(name: str) -> None:
    inside = Path("/srv/prefloop") / PLUGIN.relative_to(environment.CHECKOUT)
    assert services()[name]["environment"]["PYTHONPATH"] == str(inside)
    if name != "vllm-cpu":  # whose image is built here
        from_here = f"{os.path.relpath(PLUGIN, DOCKER)}:{inside}:ro"
        assert from_here in services()[name]["volumes"]


def test_vllm_reads_adapters_where_the_worker_puts_them() -> None:
    place = "/srv/prefloop/var/served"
    assert f"served:{place}" in services()["worker"]["volumes"]
    for name in ("vllm-cpu", "vllm-gpu", "vllm-gpu-2"):
        assert f"served:{place}:ro" in services()[name]["volumes"]
    assert settings.ENV.var_dir / Path(place).name == settings.INFERENCE_ADAPTER_FOLDER


def test_everything_of_make_run_has_a_service(env: Environment) -> None:
    processes = {"web", "vllm", *(spec.name for spec in [*plan.jobs(env), *plan.stores(env)])}
    assert processes - {"vllm", "trainer"} <= services().keys()


@pytest.mark.parametrize("name", sorted(services()))
def test_names_of_volumes_networks_and_services_are_defined(name: str) -> None:
    service = services()[name]
    sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
    ours = {source for source in sources if source.startswith("../")}
    assert all((DOCKER / source).exists() for source in ours)
    assert sources - ours <= set(definitions.compose()["volumes"])
    assert set(service["networks"]) <= set(definitions.compose()["networks"])
    for needed, how in service.get("depends_on", {}).items():
        one_shot = how["condition"] == "service_completed_successfully"
        assert one_shot == (needed in ONE_SHOT)
        assert one_shot or "healthcheck" in services()[needed]


@pytest.mark.parametrize("name", LASTING)
def test_lasting_services_are_watched_and_stopped_in_peace(name: str) -> None:
    service = services()[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert service["stop_grace_period"]


@pytest.mark.parametrize("name", sorted(services()))
def test_images_are_pinned_or_built_here(name: str) -> None:
    service = services()[name]
    if "build" in service:
        stages = {instruction.stage for instruction in definitions.dockerfile()}
        assert service["build"]["target"] in stages
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    else:
        assert any(sign.isdigit() for sign in service["image"].split(":")[1])


def test_only_the_proxy_is_reached_from_outside() -> None:
    assert {name for name, service in services().items() if "ports" in service} == {"proxy"}
    networks = definitions.compose()["networks"]
    assert {name for name, network in networks.items() if network.get("internal")} == {
        "back",
        "inference",
    }
    for name in ("postgres", "valkey"):
        assert services()[name]["networks"] == ["back"]
    for name in ("vllm-cpu", "vllm-gpu", "vllm-gpu-2"):
        assert set(services()[name]["networks"]) == {"inference"}


@pytest.mark.parametrize("name", [*PREFLOOPS_OWN, "proxy", "valkey", "model", "vllm-cpu"])
def test_services_of_our_images_can_write_only_where_they_must(name: str) -> None:
    service: Service = services()[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_docker_compose_reads_it_where_there_is_one(tmp_path: Path) -> None:
    """With the engine's own reader on machines that have it; the schema's test is for all."""
    probe = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine has no docker compose")
    values = {name: value or "x" for name, value in definitions.references().items()}
    given = tmp_path / "env"
    given.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    profiles = {name for one in services().values() for name in one.get("profiles", [])}
    options = [f"--profile={name}" for name in sorted(profiles)]
    files = ["--env-file", str(given), "-f", str(DOCKER / "compose.yaml")]
    subprocess.run(["docker", "compose", *files, *options, "config", "--quiet"], check=True)


def test_profiles_are_those_that_the_example_names() -> None:
    profiles = {name for one in services().values() for name in one.get("profiles", [])}
    text = (DOCKER / ".env.example").read_text()
    assert profiles == {"cpu", "gpu", "second-gpu", "train-cpu", "train-gpu"}
    assert all(name in text for name in profiles)


def test_on_gpus_serving_and_training_do_not_meet() -> None:
    def gpu(name: str) -> list[str]:
        (device,) = services()[name]["deploy"]["resources"]["reservations"]["devices"]
        found: list[str] = device["device_ids"]
        return found

    assert gpu("vllm-gpu") != gpu("trainer-gpu")
