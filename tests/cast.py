"""The people and things that the tests of the service share.

Ada administers, Lena and Luis label, Rita reviews, Vera views, Mallory has no business here.
"""

from collections.abc import Collection, Sequence
from functools import cache

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from annotate.exchange.prompts import read_prompts
from annotate.models import (
    Completion,
    Membership,
    Project,
    Prompt,
    Role,
    Round,
    RoundState,
    Task,
    TaskState,
    User,
)
from annotate.queries.prompts import PromptFilter
from annotate.services import rounds
from annotate.services.claims import next_claim
from annotate.services.prompts import import_prompts
from annotate.services.queue import HeldTask
from inference.models import ServedModel

PASSWORD = "correct horse battery"


@cache
def _password_hash() -> str:
    return make_password(PASSWORD)  # slow by design, so once for all people


def person(username: str) -> User:
    return User.objects.create(
        username=username, password=_password_hash(), first_name=username.title()
    )


def may_create_projects(user: User) -> None:
    """Give the right as Django's admin does."""
    user.user_permissions.add(Permission.objects.get(codename="add_project"))


def member(project: Project, username: str, role: Role) -> User:
    user = person(username)
    Membership.objects.create(project=project, user=user, role=role)
    return user


def signed_in(user: User) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


def like(client: APIClient) -> APIClient:
    """Another with the same cookies."""
    found = APIClient()
    found.cookies.load(dict(client.cookies))
    return found


def add_prompts(project: Project, count: int, *, split: str | None = "train") -> list[Prompt]:
    """Plain prompts "Question 0" and on; of one split only, unless it is None."""
    texts: list[str] = []
    number = 0
    while len(texts) < count:
        line = f'{{"prompt": "Question {number}", "id": "q{number}"}}'
        parsed = next(iter(read_prompts(line, "jsonl")))
        if split is None or getattr(parsed, "split", None) == split:
            texts.append(line)
        number += 1
    import_prompts(project_id=project.pk, actor_id=None, source="\n".join(texts), format="jsonl")
    return list(Prompt.objects.filter(project=project).order_by("id"))


def served_model(name: str = "base-model") -> ServedModel:
    model, _ = ServedModel.objects.get_or_create(name=name, kind=ServedModel.Kind.BASE)
    return model


def make_round(
    project: Project, owner: User, *, k: int = 4, overlap: int = 1, start: bool = True
) -> Round:
    """A round over all of the project's prompts that asks one base model."""
    round_ = rounds.create_round(
        project_id=project.pk,
        actor_id=owner.pk,
        prompts=PromptFilter(),
        k=k,
        overlap=overlap,
        sources=[rounds.Source(served_model_id=served_model().pk)],
    )
    if start:
        rounds.start_round(round_id=round_.pk, actor_id=owner.pk)
    return round_


def write_completions(
    round_: Round, texts: Sequence[str] | None = None, cut_off: Collection[int] = ()
) -> None:
    """Fill the round's waiting tasks as the generation job would, without a model.

    Its sources take turns. cut_off: numbers of the completions that reached their length.
    """
    sources = list(round_.sources.order_by("pk"))
    for task in round_.tasks.filter(state=TaskState.PENDING).select_related("prompt"):
        Completion.objects.bulk_create(
            Completion(
                task=task,
                number=number,
                text=texts[number] if texts else f"Answer {number} to {task.prompt.excerpt}",
                finish_reason="length" if number in cut_off else "stop",
                token_count=8,
                prompt_tokens=5,
                logprob_sum=-4.0,
                source=source,
                served_model=source.served_model,
                model_name=source.served_model.name,
                sampling={"temperature": 0.8, "top_p": 0.95, "max_tokens": 256, "n": round_.k},
                replica="scripted",
                latency_ms=10,
            )
            for number in range(round_.k)
            for source in [sources[number % len(sources)]]
        )
        open_task(task)
    Round.objects.filter(pk=round_.pk).update(state=RoundState.LABELING)
    round_.refresh_from_db()


def open_task(task: Task) -> None:
    task.state = TaskState.READY
    task.save()
    rounds.open_for_labeling(task)


def claim(user: User, project: Project, have: Sequence[int] = ()) -> HeldTask:
    """The next task for a labeler, who must get one."""
    _, held = next_claim(slug=project.slug, labeler_id=user.pk, have=have)
    assert held is not None
    return held
