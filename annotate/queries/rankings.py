"""Rankings and comparisons as people read them."""

from typing import Any

from django.db.models import F, Q, QuerySet

from annotate.errors import Forbidden, NotFound
from annotate.letters import LETTERS, alike_in_letters, in_letters
from annotate.models import Comparison, Completion, Project, Ranking, User
from annotate.queries.access import REVIEW, role_in
from annotate.queries.blindness import NOT_YET, is_withheld, withheld

EXCERPT = 240


def mine(user: User) -> QuerySet[Ranking]:
    """A labeler's own rankings in the projects that they still take part in."""
    return _rows().filter(labeler=user, project__memberships__user=user)


def of_project(
    project: Project, reader: User, *, round_number: int | None, labeler: str
) -> QuerySet[Ranking]:
    """A project's rankings, all revisions of them, but those that the reader must not see yet."""
    rows = _rows().filter(~withheld(reader, project.pk), project=project)
    if round_number is not None:
        rows = rows.filter(round__number=round_number)
    return rows.filter(labeler__username=labeler) if labeler else rows


def _rows() -> QuerySet[Ranking]:
    return Ranking.objects.select_related("project", "round", "labeler", "task__prompt", "slot")


def row(ranking: Ranking) -> dict[str, Any]:
    """One line of a list of rankings."""
    letter = {completion: LETTERS[place] for place, completion in enumerate(ranking.order)}
    return {
        "id": ranking.pk,
        "project": ranking.project.slug,
        "round": ranking.round.number,
        "prompt_excerpt": ranking.task.prompt.excerpt,
        "labeler": ranking.labeler.username,
        "tiers": [[letter[completion] for completion in tier] for tier in ranking.tiers],
        "created_at": ranking.created_at,
        "revision": ranking.revision,
        "current": ranking.current,
        "counted": hasattr(ranking, "slot"),
        "withdrawn": ranking.withdrawn_at is not None,
        "editable": ranking.current and ranking.round.open,
    }


def seen_by(user: User, ranking_id: int) -> tuple[Ranking, bool]:
    """A ranking, and whether the reader may know which model wrote what.

    Raises NotFound unless it is the reader's own or in a project that they review, and Forbidden
    while they may still judge its task.
    """
    rows = _rows().select_related("demonstration", "supersedes", "claim__settings")
    ranking = rows.filter(pk=ranking_id).first()
    if ranking is None:
        raise NotFound
    role, own = role_in(user, ranking.project_id), ranking.labeler_id == user.pk
    reviews = role in REVIEW
    if not reviews and (role is None or not own):
        raise NotFound
    blind = reviews and is_withheld(user, ranking)
    if blind and not own:
        raise Forbidden(NOT_YET, code="still_to_judge")
    return ranking, reviews and not blind


def detail(ranking: Ranking, *, with_provenance: bool) -> dict[str, Any]:
    """What the labeler saw and said; to reviewers also what made each response."""
    completions = Completion.objects.select_related("served_model").in_bulk(ranking.order)
    prompt = ranking.task.prompt
    superseding = Ranking.objects.filter(supersedes=ranking).values_list("pk", flat=True).first()
    return {
        **row(ranking),
        **in_letters(ranking),
        "claim": ranking.claim_id,
        "prompt": {"messages": prompt.messages, "documents": prompt.documents},
        "responses": [
            _response(LETTERS[place], completions[completion_id], with_provenance)
            for place, completion_id in enumerate(ranking.order)
        ],
        "alike": alike_in_letters([completions[key].written for key in ranking.order]),
        "judging": ranking.claim.settings.content,
        "supersedes": ranking.supersedes_id,
        "superseded_by": superseding,
        "withdrawn_at": ranking.withdrawn_at,
    }


def _response(label: str, completion: Completion, with_provenance: bool) -> dict[str, Any]:
    shown = {
        "label": label,
        "text": completion.text,
        "cut_off": completion.finish_reason == "length",
        "provenance": None,
    }
    if with_provenance:
        shown["provenance"] = {
            "completion": completion.pk,
            "served_model": completion.served_model.name,
            "adapter_hash": completion.adapter_hash,
            "temperature": completion.sampling.get("temperature"),
            "top_p": completion.sampling.get("top_p"),
            "max_tokens": completion.sampling.get("max_tokens"),
            "tokens": completion.token_count,
            "logprob_sum": completion.logprob_sum,
            "finish_reason": completion.finish_reason,
            "replica": completion.replica,
            "latency_ms": completion.latency_ms,
            "chat_template_hash": completion.chat_template_hash,
            "created_at": completion.created_at,
        }
    return shown


def comparisons(
    project: Project, reader: User, *, round_number: int | None, labeler: str, search: str
) -> QuerySet[Comparison]:
    """A project's comparisons of current rankings, but those that the reader must not see yet."""
    rows = (
        Comparison.objects.filter(
            ~withheld(reader, project.pk, ranking="ranking__"), ranking__project=project
        )
        .select_related("winner", "loser", "ranking__round", "ranking__labeler")
        .annotate(prompt_excerpt=F("ranking__task__prompt__excerpt"))
    )
    if round_number is not None:
        rows = rows.filter(ranking__round__number=round_number)
    if labeler:
        rows = rows.filter(ranking__labeler__username=labeler)
    if search.strip():
        rows = rows.filter(
            Q(ranking__task__prompt__excerpt__icontains=search[:200])
            | Q(winner__text__icontains=search[:200])
            | Q(loser__text__icontains=search[:200])
        )
    return rows


def comparison_row(comparison: Comparison) -> dict[str, Any]:
    return {
        "id": comparison.pk,
        "ranking": comparison.ranking_id,
        "round": comparison.ranking.round.number,
        "labeler": comparison.ranking.labeler.username,
        "prompt_excerpt": getattr(comparison, "prompt_excerpt", ""),
        "chosen_excerpt": comparison.winner.text[:EXCERPT],
        "rejected_excerpt": comparison.loser.text[:EXCERPT],
        "chosen_unacceptable": comparison.winner_unacceptable,
        "rejected_unacceptable": comparison.loser_unacceptable,
        "tie": comparison.tie,
        "strength": comparison.strength,
        "created_at": comparison.ranking.created_at,
    }
