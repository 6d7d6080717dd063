"""What a project's model means now, and which models its rounds may ask."""

from dataclasses import asdict
from typing import Any

from annotate.models import Project
from annotate.queries.own_models import own_models
from inference.models import ServedModel
from inference.queries import available_models, meaning_of

CURRENT = "current"


def alias_of(slug: str) -> str:
    """The alias under which the model of a project is served."""
    return f"{slug}/{CURRENT}"


def current_model(slug: str) -> ServedModel | None:
    """What the project's model is now: a base until an adapter is promoted.

    None before any inference server was seen.
    """
    return meaning_of(alias_of(slug))


def models_of(project: Project) -> list[dict[str, Any]]:
    """What the sources of a round may be: first whatever the project's model is, then each name.

    Adapters of other projects are not among them. The first has the id of what it means now: a
    client that takes it by its id gets just that.
    """
    own = set(own_models(project.pk).values_list("pk", flat=True))
    rows = [{**asdict(model), "means": ""} for model in available_models() if model.id in own]
    model = current_model(project.slug)
    current = next((row for row in rows if model is not None and row["id"] == model.pk), None)
    if current is None:
        return rows
    first = {**current, "name": alias_of(project.slug), "kind": CURRENT, "means": current["name"]}
    return [first, *rows]
