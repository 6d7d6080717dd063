"""Projects as their members read them."""

from typing import Any

from annotate.models import Comparison, Project, Ranking, User
from annotate.queries.access import Access, role_of
from annotate.versions import version_of


def of_member(user: User) -> list[dict[str, Any]]:
    """A person's projects with their role (500 at most)."""
    memberships = user.memberships.select_related("project").order_by("project__name")[:500]
    return [
        {
            "slug": membership.project.slug,
            "name": membership.project.name,
            "description": membership.project.description,
            "role": role_of(user, membership),
        }
        for membership in memberships
    ]


def detail(access: Access) -> dict[str, Any]:
    """A project's settings and how much is in it."""
    project = access.project
    return {
        "slug": project.slug,
        "role": access.role.value,
        **_settings(project),
        "version": version(project),
        "counts": _counts(project),
    }


def version(project: Project) -> str:
    """Of its settings, for whoever edits them."""
    return version_of(_settings(project))


def _settings(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "description": project.description,
        "guidelines": project.guidelines,
        "judging": {
            "k_default": project.k_default,
            "ties_allowed": project.ties_allowed,
            "strength": project.strength,
            "axes": project.axes,
            "tags": project.tags,
            "rationale": project.rationale,
            "write_better": project.write_better,
        },
        "overlap": project.overlap,
        "lease_seconds": project.lease_seconds,
    }


def _counts(project: Project) -> dict[str, int]:
    current = Ranking.objects.filter(project=project, current=True)
    return {
        "prompts": project.prompts.count(),
        "rounds": project.rounds.count(),
        "members": project.memberships.count(),
        "rankings": current.count(),
        "comparisons": Comparison.objects.filter(ranking__project=project).count(),
    }
