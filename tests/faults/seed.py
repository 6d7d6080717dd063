"""`python -m tests.faults.seed TASKS`: a round to label, in the database of the environment."""

import os
import sys

import django


def main(tasks: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotate.settings")
    django.setup()
    from annotate.models import Role
    from annotate.services.projects import create_project
    from tests import cast

    owner = cast.person("owner")
    project = create_project(actor_id=owner.pk, slug="tone", name="Tone", lease_seconds=600)
    for name in ("first", "second"):
        cast.member(project, name, Role.LABELER)
    cast.add_prompts(project, tasks)
    cast.write_completions(cast.make_round(project, owner, k=2))


if __name__ == "__main__":
    main(int(sys.argv[1]))
