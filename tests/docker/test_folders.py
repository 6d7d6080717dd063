"""Each job runs where its folders are: the table of jobs against the compose file and the code."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from annotate import jobs
from annotate.celery_app import app
from annotate.environment import Environment
from annotate.jobs import JOBS, QUEUE_OF, SITE, Folder, Job, Queue
from annotate.launch import plan
from tests.docker.definitions import services
from tests.docker.mounts import mount_of, services_of

VLLM = ("vllm-cpu", "vllm-gpu", "vllm-gpu-2")
SHARED = (Folder.SNAPSHOTS, Folder.ADAPTERS, Folder.SERVED)  # by several roles


def tasks() -> set[str]:
    app.loader.import_default_modules()
    return {name for name in app.tasks if not name.startswith("celery.")}


def role_of(job: Job) -> str:
    return next(role for role, queue in QUEUE_OF.items() if queue == job.queue)


def places(role: str, job: Job) -> list[tuple[str, Folder, bool]]:
    """(service, folder, whether it is written) of a job of that role."""
    return [
        (service, folder, folder in job.writes)
        for service in services_of(role)
        for folder in sorted(job.reads | job.writes)
    ]


CASES = [
    (name, *place) for name, job in sorted(JOBS.items()) for place in places(role_of(job), job)
] + [("the site", *place) for place in places("web", SITE)]


def test_every_task_is_in_the_table_and_goes_where_it_says() -> None:
    assert tasks() == JOBS.keys()
    queues = {name: app.amqp.router.route({}, name)["queue"].name for name in JOBS}
    assert queues == {name: job.queue for name, job in JOBS.items()}
    assert jobs.routes() == settings.CELERY_TASK_ROUTES


def test_the_container_of_a_job_has_its_folders() -> None:
    found = {place: mount_of(place[1], place[2]) for place in CASES}
    assert [place for place, mount in found.items() if mount is None] == []
    read_only = {place for place, mount in found.items() if mount and not mount.writable}
    assert [place for place in read_only if place[3]] == [], "these are written"


@pytest.mark.parametrize("folder", SHARED)
def test_roles_that_share_a_folder_have_the_same_one(folder: Folder) -> None:
    found = {mount_of(name, folder) for name in services()} - {None}
    assert len({(one.volume, one.path) for one in found if one}) == 1


@pytest.mark.parametrize("service", VLLM)
def test_vllm_reads_what_is_served_and_writes_none_of_it(service: str) -> None:
    mount = mount_of(service, Folder.SERVED)
    assert mount is not None
    assert not mount.writable


def test_one_role_alone_writes_what_is_served() -> None:
    assert {role_of(job) for job in JOBS.values() if Folder.SERVED in job.writes} == {"worker"}
    writers = {name for name in services() if (m := mount_of(name, Folder.SERVED)) and m.writable}
    assert writers == {"worker"}


def test_the_generator_needs_no_folder() -> None:
    assert not any(places("generator", job) for job in JOBS.values() if role_of(job) == "generator")
    assert "volumes" not in services()["generator"]


@pytest.mark.parametrize("role", QUEUE_OF)
def test_a_role_takes_the_jobs_of_its_queue(role: str, tmp_path: Path) -> None:
    env = Environment.model_validate({"var_dir": str(tmp_path)})
    spec = next(spec for spec in plan.jobs(env) if spec.name == role)
    commands = [list(map(str, services()[name]["command"])) for name in services_of(role)]
    for command in [spec.commands[0], *commands]:
        assert command[command.index("-Q") + 1] == QUEUE_OF[role]


def test_settings_know_no_other_folder_of_files() -> None:
    """What is below VAR_DIR and named in the settings is in the table, or is none of the jobs'."""
    text = (settings.BASE_DIR / "annotate" / "settings.py").read_text()
    named = set(re.findall(r"ENV\.var_dir / ([\w.\"]+)", text))
    folders = set(re.findall(r"Folder\.(\w+)", text))
    assert named - {f"Folder.{one}" for one in folders} == {"folder", '"static"'}
    assert {Folder[name] for name in folders} == set(Folder)


def test_queues_are_all_served() -> None:
    assert set(QUEUE_OF.values()) == set(Queue) == {job.queue for job in JOBS.values()}
