"""Freeze a project's rankings into a snapshot, here and now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotate.errors import Refusal
from annotate.models import User
from annotate.queries.access import MANAGE, project_for
from training.models import Snapshot, SnapshotState
from training.services.snapshots import create_snapshot
from training.services.snapshots.building import build_snapshot
from training.snapshots.spec import Aggregation, SnapshotSpec, Weight


class Command(BaseCommand):
    help = "Build a snapshot of a project's rankings and say its content hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="address of the project")
        parser.add_argument("--as", dest="username", required=True, help="an admin of it")
        parser.add_argument("--round", dest="rounds", type=int, action="append", default=[])
        parser.add_argument("--minimum-overlap", type=int, default=1)
        parser.add_argument("--flagged", action="store_true", help="keep flagged tasks")
        for name, kind in (("aggregation", Aggregation), ("weight", Weight)):
            choices = [str(each) for each in kind]
            parser.add_argument(f"--{name}", choices=choices, default=choices[0])

    def handle(self, *args: Any, **options: Any) -> None:
        spec = SnapshotSpec(
            rounds=tuple(options["rounds"]),
            minimum_overlap=options["minimum_overlap"],
            flagged=options["flagged"],
            aggregation=Aggregation(options["aggregation"]),
            weight=Weight(options["weight"]),
        )
        try:
            user = User.objects.get(username=options["username"], is_active=True)
            access = project_for(user, options["project"], MANAGE)
            made = create_snapshot(project_id=access.project.pk, actor_id=user.pk, spec=spec)
        except (User.DoesNotExist, Refusal) as refusal:
            raise CommandError(getattr(refusal, "message", "There is no such person.")) from None
        build_snapshot(snapshot_id=made.pk)
        snapshot = Snapshot.objects.get(pk=made.pk)
        if snapshot.state == SnapshotState.FAILED:
            raise CommandError(snapshot.message)
        if snapshot.state != SnapshotState.READY:
            raise CommandError("The worker builds another snapshot of the project; this one waits.")
        self.stdout.write(f"{snapshot.number} {snapshot.content_hash}")
