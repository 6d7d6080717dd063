"""Django's admin: everything can be looked up; what is append-only can only be looked at."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from annotate import models
from annotate.queries.access import LABEL
from annotate.services import audit, claims
from inference.models import Replica, ServedModel, Serving

admin.site.unregister(Group)


class ReadOnly(ModelAdmin):
    """For what services alone may write."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.User)
class PersonAdmin(UserAdmin[models.User], ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class PeopleGroupAdmin(GroupAdmin, ModelAdmin):
    pass


def record(
    request: HttpRequest, verb: str, of: Model, project: models.Project, **detail: str | None
) -> None:
    """In the project's own record, beside Django's."""
    audit.record(
        verb=verb, of=of, project_id=project.pk, actor_id=request.user.pk, by="admin", **detail
    )


def named(member: models.Membership) -> dict[str, str]:
    return {"username": member.user.username}


class MembershipInline(TabularInline):
    model = models.Membership
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(models.Project)
class ProjectAdmin(ModelAdmin):
    list_display = ("name", "slug", "overlap", "created_at")
    search_fields = ("name", "slug")
    inlines = (MembershipInline,)

    def save_model(
        self, request: HttpRequest, obj: models.Project, form: Any, change: bool
    ) -> None:
        # Fields of lists count as changed when they were only written otherwise.
        before: Any = models.Project.objects.filter(pk=obj.pk).values().first() or {}
        super().save_model(request, obj, form, change)
        fields = [one for one in form.changed_data if before.get(one) != getattr(obj, one)]
        if fields:
            verb = "changed" if change else "created"
            record(request, verb, obj, obj, fields=", ".join(sorted(fields)))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """The members; the record says it as where a project's own admins change them."""
        project = form.instance
        before: dict[int, Any] = {
            one.instance.pk: one.initial.get("role") for one in formset.initial_forms
        }
        for leaving in (one.instance for one in formset.deleted_forms if one.instance.pk):
            record(request, "removed", leaving, project, **named(leaving))
        super().save_formset(request, form, formset, change)
        for member in formset.new_objects:
            record(request, "added", member, project, **named(member), role=member.role)
        for member, _ in formset.changed_objects:
            was = {"before": before[member.pk], "after": member.role}
            record(request, "changed role", member, project, **named(member), **was)
        for member in [one for one, _ in formset.changed_objects] + formset.deleted_objects:
            if not member.pk or member.role not in LABEL:
                claims.release_all(project_id=project.pk, labeler_id=member.user_id)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # rankings refer to it


@admin.register(models.Prompt)
class PromptAdmin(ReadOnly):
    list_display = ("excerpt", "project", "split", "turns", "created_at")
    list_filter = ("project", "split")
    search_fields = ("excerpt", "external_id")


@admin.register(models.Round)
class RoundAdmin(ReadOnly):
    list_display = ("__str__", "state", "paused", "k", "overlap", "started_at", "closed_at")
    list_filter = ("state", "project")


@admin.register(models.Task)
class TaskAdmin(ReadOnly):
    list_display = ("__str__", "state", "required", "failure")
    list_filter = ("state",)


@admin.register(models.Completion)
class CompletionAdmin(ReadOnly):
    list_display = ("__str__", "model_name", "finish_reason", "token_count", "replica")


@admin.register(models.Claim)
class ClaimAdmin(ReadOnly):
    list_display = ("__str__", "task", "state", "expires_at", "reason")
    list_filter = ("state",)


@admin.register(models.Ranking)
class RankingAdmin(ReadOnly):
    list_display = ("__str__", "task", "revision", "current", "created_at")
    list_filter = ("current", "project")


@admin.register(models.Comparison)
class ComparisonAdmin(ReadOnly):
    list_display = ("__str__", "ranking", "tie", "strength")


@admin.register(models.Demonstration)
class DemonstrationAdmin(ReadOnly):
    list_display = ("__str__", "labeler", "created_at")


@admin.register(models.AuditEvent)
class AuditEventAdmin(ReadOnly):
    list_display = ("at", "actor", "verb", "object_type", "object_id", "project")
    list_filter = ("verb",)


@admin.register(Replica)
class ReplicaAdmin(ReadOnly):
    list_display = ("name", "url", "state", "message", "checked_at", "enabled")


@admin.register(ServedModel)
class ServedModelAdmin(ReadOnly):
    list_display = ("name", "kind", "parent", "first_seen")


@admin.register(Serving)
class ServingAdmin(ReadOnly):
    list_display = ("__str__", "present", "selftest", "detail", "tested_at")
