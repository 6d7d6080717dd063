"""The loop: its policy, its steps, and what a person does about them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from annotate.api.asked import unknown_fields
from annotate.api.paging import page
from annotate.api.views import ProjectView, user_of
from annotate.errors import Conflict, Invalid, NotFound
from annotate.queries.access import MANAGE, READ_DATA
from training.api.loop_shapes import (
    LoopOverview,
    LoopPolicyBody,
    LoopStepDetail,
    LoopStepPage,
)
from training.models import LoopStep
from training.queries import loop as reads
from training.queries.standing import standings
from training.services import loop
from training.services.loop.stages import flow_of

FIELDS = ("settings", "active", "base")
BY_HAND = "{name} asked for it."


class LoopView(ProjectView):
    @extend_schema(responses=LoopOverview)
    def get(self, request: Request, slug: str) -> Response:
        """The project's loop policy (the defaults before one is saved) and when it turns next."""
        access = self.access(request, slug, READ_DATA)
        return Response(reads.overview(access.project.pk))

    @extend_schema(request=LoopPolicyBody, responses=LoopOverview)
    def put(self, request: Request, slug: str) -> Response:
        """Save the policy. A step that is under way keeps the settings that it began with.

        What is wrong is named by its path in the body, as settings.gate.max_kl.
        """
        access = self.access(request, slug, MANAGE)
        body = _body(request.data)
        loop.set_policy(project_id=access.project.pk, actor_id=user_of(request).pk, **body)
        return Response(reads.overview(access.project.pk))


def _body(data: Any) -> dict[str, Any]:
    """The service reads the settings: its words name every field."""
    if not isinstance(data, dict) or not isinstance(data.get("settings"), dict):
        message = "Send an object with the policy's settings."
        raise Invalid(message, fields={"settings": [message]})
    if unknown := [name for name in data if name not in FIELDS]:
        raise unknown_fields(unknown, FIELDS)
    active, base = data.get("active", False), data.get("base")
    if not isinstance(active, bool):
        message = "active must be true or false."
        raise Invalid(message, fields={"active": [message]})
    if base is not None and not isinstance(base, str):
        message = "base must be the version of a policy, a text."
        raise Invalid(message, fields={"base": [message]})
    return {"settings": data["settings"], "active": active, "base": base}


_ACTIONS: dict[str, Callable[..., LoopStep]] = {
    "pause": loop.pause,
    "resume": loop.resume,
    "cancel": loop.cancel,
    "retry": loop.retry,
    "approve": loop.approve,
    "reject": loop.reject,
}


class LoopActionView(ProjectView):
    @extend_schema(
        request=None,
        responses=LoopStepDetail,
        parameters=[
            OpenApiParameter("action", str, OpenApiParameter.PATH, enum=sorted([*_ACTIONS, "step"]))
        ],
    )
    def post(self, request: Request, slug: str, action: str) -> Response:
        """Begin a step by hand (one at a time), or pause, resume, cancel, retry the last one.

        approve, reject: what becomes of its candidate when it `asks`. A second click changes
        nothing.
        """
        access = self.access(request, slug, MANAGE)
        user, project_id = user_of(request), access.project.pk
        if action == "step":
            cause = BY_HAND.format(name=user.username)
            step = loop.begin_step(project_id=project_id, actor_id=user.pk, cause=cause)
        elif action in _ACTIONS:
            last = reads.latest(project_id)
            if last is None:
                raise Conflict("The loop has made no step yet.")
            step = _ACTIONS[action](step_id=last.pk, actor_id=user.pk)
        else:
            raise NotFound
        return Response(_detail(project_id, step.number))


class LoopStepsView(ProjectView):
    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=LoopStepPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        """The loop's steps, newest first."""
        access = self.access(request, slug, READ_DATA)
        show = partial(reads.row, found=standings(access.project.pk))
        return Response(page(request, reads.of_project(access.project.pk), show))


class LoopStepView(ProjectView):
    @extend_schema(responses=LoopStepDetail)
    def get(self, request: Request, slug: str, number: int) -> Response:
        """One step: its timeline, what it waits for, what it made."""
        access = self.access(request, slug, READ_DATA)
        return Response(_detail(access.project.pk, number))


def _detail(project_id: int, number: int) -> dict[str, Any]:
    shown = reads.detail(reads.one(project_id, number))
    return {**shown, "flow": flow_of(shown)}
