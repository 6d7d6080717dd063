"""Train on a snapshot: create a run, and if wished wait for its end."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import Refusal
from annotate.models import User
from annotate.queries.access import MANAGE, project_for
from training.engine.spec import Method
from training.models import RunState, Snapshot, TrainingRun
from training.models.run import UNFINISHED_RUNS
from training.queries import runs as reads
from training.queries.named import adapter_id, id_of
from training.runs.assembly import PARENT_USES
from training.services import runs

LOOK_EVERY_S = 1.0


class Command(BaseCommand):
    help = "Create a training run, which a worker of the queue `train` takes up; say its number."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="address of the project")
        parser.add_argument("--as", dest="username", required=True, help="an admin of it")
        parser.add_argument("--snapshot", type=int, required=True, help="number of the snapshot")
        parser.add_argument("--method", required=True, help=", ".join(Method))
        parser.add_argument("--preset", default="", help="starting point, as 135m-cpu")
        parser.add_argument(
            "--set",
            dest="values",
            action="append",
            default=[],
            metavar="SECTION.FIELD=VALUE",
            help="what differs from the preset, as optimizer.lr=1e-4; a value is JSON or a word",
        )
        parser.add_argument("--parent", type=int, help="adapter to go on from, by number")
        parser.add_argument("--parent-use", choices=PARENT_USES, default=PARENT_USES[0])
        parser.add_argument("--judge", type=int, help="reward adapter to learn from, by number")
        parser.add_argument("--wait", action="store_true", help="until the run has ended")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = self._created(options)
        except (User.DoesNotExist, Refusal) as refusal:
            raise CommandError(getattr(refusal, "message", "There is no such person.")) from None
        self.stdout.write(f"run {run.number}")
        if options["wait"]:
            self._wait(run)

    def _created(self, options: dict[str, Any]) -> TrainingRun:
        user = User.objects.get(username=options["username"], is_active=True)
        project = project_for(user, options["project"], MANAGE).project
        return runs.create_run(
            project_id=project.pk,
            actor_id=user.pk,
            snapshot_id=id_of(Snapshot, project.pk, options["snapshot"], "snapshot"),
            method=options["method"],
            preset=options["preset"],
            values=_values(options["values"]),
            parent_id=adapter_id(project.pk, options["parent"], "parent"),
            parent_use=options["parent_use"],
            judge_id=adapter_id(project.pk, options["judge"], "judge"),
        )

    def _wait(self, run: TrainingRun) -> None:
        """Say how far it is; Ctrl-C ends the waiting, not the run."""
        said = ""
        while (now := reads.one(run.project_id, run.number)).state in UNFINISHED_RUNS:
            text = f"{now.get_state_display()} {_progress(now)}".rstrip()
            if text != said:
                self.stdout.write(said := text)
            time.sleep(LOOK_EVERY_S)
        if now.state != RunState.FINISHED:
            raise CommandError(f"The run is {now.state}. {now.message} {now.advice}".rstrip())
        self.stdout.write(f"adapter {now.adapter.number} {now.adapter.content_hash}")


def _progress(run: TrainingRun) -> str:
    of = "" if run.steps is None else f" {run.step} of {run.steps}"
    return f"{run.phase}{of}" if run.phase else ""


def _values(words: list[str]) -> dict[str, Any]:
    """optimizer.lr=1e-4 -> {"optimizer": {"lr": 1e-4}}. Raises CommandError."""
    values: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        section, dot, name = path.partition(".")
        if not (equals and dot and section and name):
            raise CommandError(f"--set {word}: write it as optimizer.lr=1e-4.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        values.setdefault(section, {})[name] = value
    return values
