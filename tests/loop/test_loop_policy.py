"""The policy of a loop: what it takes, what it refuses, and in which words."""

from typing import Any

import pytest
from pydantic import BaseModel
from rest_framework import serializers

from annotate.errors import Invalid
from annotate.models import Project, Role, User
from annotate.services.projects import create_project
from tests import cast
from training.api.loop_shapes import LoopSettingsShape
from training.engine.spec import Method
from training.loop.policy import LoopSettings, PolicyError, read
from training.models import LoopPolicy
from training.services.loop import set_policy


def test_what_is_left_out_has_its_default() -> None:
    assert read({}) == LoopSettings()
    assert read(LoopSettings().as_json()) == LoopSettings()
    assert read({"next_round": None, "humans": {}}).next_round is None


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"trigger": {"comparisons": 0}}, "trigger.comparisons", "at least 1"),
        ({"trigger": {"hour": 3}}, "trigger.hour", "did you mean trigger.hours?"),
        ({"trigger": {"hours": "3"}}, "trigger.hours", "it must be a number"),
        ({"run": {"method": "reward"}}, "run.method", "choose dpo"),
        ({"run": {"method": "magic"}}, "run.method", "allowed are"),
        ({"run": {"preset": "huge"}}, "run.preset", "135m-cpu"),
        ({"run": {"values": {"parent": {}}}}, "run.values", "leave it out"),
        ({"run": {"start_from": "best"}}, "run.start_from", '"base" or "current"'),
        ({"gate": {"min_win_rate": 50}}, "gate.min_win_rate", "at most 1"),
        ({"gate": {"max_kl": -1}}, "gate.max_kl", "at least 0"),
        ({"evaluation": {"prompts": 0}}, "evaluation.prompts", "at least 1"),
        ({"humans": {"rankings": 0}}, "humans.rankings", "at least 1"),
        ({"promotion": "never"}, "promotion", '"automatic" or "ask"'),
        ({"stale": "burn"}, "stale", '"keep", "mark" or "regenerate"'),
        ({"next_round": {"k": 10}}, "next_round.k", "at most 9"),
        ({"next_round": {"temperature": 0}}, "next_round.temperature", "above 0"),
        ({"speed": 11}, "speed", "there is no such field"),
        ({"promotion": "automatic", "gate": {}}, "", "nothing is asked of a candidate"),
        ([], "", "an object with fields"),
    ],
)
def test_it_names_the_field_and_says_what_is_allowed(values: Any, field: str, words: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        read(values)
    assert list(refusal.value.fields) == [field]
    assert words in refusal.value.fields[field][0]


def test_the_api_says_the_fields_that_the_policy_has() -> None:
    """Field by field, so that the schema and the generated types never lag behind."""
    assert _names(LoopSettingsShape()) == _fields(LoopSettings)


def _names(shape: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    return {
        name: _names(field) if isinstance(field, serializers.Serializer) else None
        for name, field in getattr(shape, "fields", {}).items()
    }


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        inner = [
            each
            for each in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        found[name] = _fields(inner[0]) if inner else None
    return found


@pytest.fixture
def ada(db: None) -> User:
    return cast.person("ada")


@pytest.fixture
def tone(ada: User) -> Project:
    return create_project(actor_id=ada.pk, slug="tone", name="Tone")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (
            {"run": {"values": {"optimizer": {"rate": 1}}}},
            "settings.run.values.optimizer.rate",
        ),
        (
            {"judge": {"values": {"training": {"epochs": 1, "max_steps": 3}}}},
            "settings.judge.values.training",
        ),
        ({"run": {"values": {"base": {"model": "x"}}}}, "settings.run.values.base.model"),
        ({"run": {"values": {"kto": {}}}}, "settings.run.values"),
        ({"gate": {"max_kl": -1}}, "settings.gate.max_kl"),
        ({"trigger": {"comparisons": None}}, "settings.trigger"),
    ],
)
def test_the_engine_s_own_rules_are_checked_before_it_is_saved(
    settings: dict[str, Any], field: str, ada: User, tone: Project
) -> None:
    with pytest.raises(Invalid) as refusal:
        set_policy(project_id=tone.pk, actor_id=ada.pk, settings=settings, active=True)
    assert list(refusal.value.fields) == [field]
    assert not LoopPolicy.objects.exists()


@pytest.mark.parametrize("method", sorted(set(Method) - {Method.REWARD}))
def test_each_method_can_be_looped(method: str, ada: User, tone: Project) -> None:
    settings = {"run": {"method": method}, "trigger": {"comparisons": None, "hours": 24}}
    policy = set_policy(project_id=tone.pk, actor_id=ada.pk, settings=settings, active=True)
    assert policy.settings["run"]["method"] == method


def test_who_saves_it_last_is_whom_it_acts_for(ada: User, tone: Project) -> None:
    luis = cast.member(tone, "luis", Role.ADMIN)
    set_policy(project_id=tone.pk, actor_id=ada.pk, settings={}, active=True)
    set_policy(project_id=tone.pk, actor_id=luis.pk, settings={}, active=False)
    policy = LoopPolicy.objects.get()
    assert (policy.owner, policy.active) == (luis, False)
