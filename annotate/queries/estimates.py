"""What a round would take, from the project's own pace where it has one."""

from typing import Any

from django.db.models import Avg

from annotate.models import Completion, Membership, Prompt, Ranking, Round
from annotate.queries.access import LABEL
from annotate.queries.pace import seconds_a_ranking, writing
from annotate.queries.prompts import PromptFilter, matching
from inference.queries import inference_state

# Until the project has its own figures: labelers read about 4 words a second.
SECONDS_PER_TOKEN_READ = 0.75 / 4
SECONDS_TO_JUDGE = 20.0
TOKENS_PER_SECOND = 150.0
CHARACTERS_PER_TOKEN = 4


def estimate(
    project_id: int,
    prompts: PromptFilter,
    *,
    k: int,
    overlap: int,
    sources: list[dict[str, Any]],
) -> dict[str, Any]:
    """What a round would take, from the project's own pace where it has one.

    tokens: of completions, at the usual length (at most max_tokens); generation_seconds: at the
    pace of the last completions; labeler_hours: all labelers together.
    """
    count = matching(project_id, prompts).count()
    chosen = count if prompts.sample is None else min(count, prompts.sample)
    longest = max((source["max_tokens"] for source in sources), default=256)
    tokens_each = min(longest, _usual_tokens(project_id) or longest)
    seconds_each = _usual_seconds(project_id) or (
        SECONDS_TO_JUDGE + k * tokens_each * SECONDS_PER_TOKEN_READ
    )
    tokens = chosen * k * tokens_each
    return {
        "prompts": chosen,
        "completions": chosen * k,
        "rankings": chosen * overlap,
        "tokens": round(tokens),
        "prompt_tokens": round(chosen * _prompt_tokens(project_id)),
        "generation_seconds": round(tokens / (_usual_pace(project_id) or TOKENS_PER_SECOND)),
        "labeler_hours": round(chosen * overlap * seconds_each / 3600, 2),
        "warnings": _warnings(project_id, chosen, prompts, overlap, sources),
    }


def _usual_tokens(project_id: int) -> float | None:
    recent = Completion.objects.filter(task__round__project_id=project_id).order_by("-pk")[:1000]
    average: float | None = recent.aggregate(mean=Avg("token_count"))["mean"]
    return average


def _usual_pace(project_id: int) -> float | None:
    """Tokens a second, while models wrote, of the last round of which that can be told."""
    for round_ in Round.objects.filter(project_id=project_id, started_at__isnull=False)[:5]:
        if pace := writing(Completion.objects.filter(task__round=round_)):
            return pace.tokens_per_s
    return None


def _usual_seconds(project_id: int) -> float | None:
    return seconds_a_ranking(Ranking.objects.filter(project_id=project_id, current=True))


def _prompt_tokens(project_id: int) -> float:
    sample = Prompt.objects.filter(project_id=project_id).values_list("messages", flat=True)[:200]
    lengths = [sum(len(turn["content"]) for turn in messages) for messages in sample]
    return sum(lengths) / len(lengths) / CHARACTERS_PER_TOKEN if lengths else 0.0


def _warnings(
    project_id: int,
    chosen: int,
    prompts: PromptFilter,
    overlap: int,
    sources: list[dict[str, Any]],
) -> list[str]:
    warnings = []
    if chosen == 0:
        warnings.append("No prompt matches. Import prompts first, or widen the filter.")
    inference = inference_state()
    if inference["state"] != "ready":
        warnings.append(f"{inference['message']} The round can be started; writing begins then.")
    labelers = Membership.objects.filter(project_id=project_id, role__in=LABEL).count()
    if labelers < overlap:
        warnings.append(
            f"Each task needs {overlap} people, but only {labelers} may label here. "
            "Add members, or lower the overlap."
        )
    if prompts.split != "train":
        warnings.append("Rankings of held-out prompts never reach training.")
    if any(source["temperature"] == 0 for source in sources):
        warnings.append("At temperature 0 a model gives the same response every time.")
    return warnings
