"""Which prompts a project has, and which of them a filter chooses."""

from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.postgres.search import SearchQuery
from django.db.models import Exists, OuterRef, QuerySet

from annotate.errors import NotFound
from annotate.models import Prompt, Task


@dataclass(frozen=True, slots=True)
class PromptFilter:
    """tag, search, split: what a prompt must have; sample: how many to draw at most.

    fresh: never in a round. of_round: in the round of this number.
    """

    tag: str | None = None
    search: str = ""
    split: str | None = None
    sample: int | None = None
    fresh: bool = False
    of_round: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def matching(project_id: int, chosen: PromptFilter) -> QuerySet[Prompt]:
    """The prompts of a project that a filter chooses, before any sample is drawn."""
    prompts = Prompt.objects.filter(project_id=project_id).order_by()
    if chosen.tag:
        prompts = prompts.filter(tags__contains=[chosen.tag])
    if chosen.split:
        prompts = prompts.filter(split=chosen.split)
    if chosen.search.strip():
        prompts = prompts.filter(
            search=SearchQuery(chosen.search[:200], config="simple", search_type="websearch")
        )
    asked = Task.objects.filter(prompt=OuterRef("pk"))
    if chosen.fresh:
        prompts = prompts.filter(~Exists(asked))
    if chosen.of_round is not None:
        prompts = prompts.filter(Exists(asked.filter(round__number=chosen.of_round)))
    return prompts


def one(project_id: int, prompt_id: int) -> Prompt:
    """Raises NotFound."""
    prompt = Prompt.objects.filter(project_id=project_id, pk=prompt_id).first()
    if prompt is None:
        raise NotFound
    return prompt
