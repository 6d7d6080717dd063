"""Drafts have versions that the server gives; a text made from an older one is kept beside."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# A sequence, so that a task's draft that is dropped and begun anew never repeats a version.
SEQUENCE = "CREATE SEQUENCE annotate_draft_version"
FUNCTION = """
CREATE FUNCTION annotate_number_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('annotate_draft_version');
    RETURN NEW;
END $$;
"""
TRIGGER = """
CREATE TRIGGER draft_numbered BEFORE INSERT OR UPDATE ON annotate_draft
FOR EACH ROW EXECUTE FUNCTION annotate_number_draft();
"""
FILL = "UPDATE annotate_draft SET version = 0"  # the trigger numbers them
TEXT = {
    "writer": lambda: models.CharField(blank=True, db_default="", default="", max_length=36),
    "step": lambda: models.BigIntegerField(db_default=0, default=0),
}


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0006_judging_settings")]
    operations: ClassVar = [
        migrations.AddField("draft", "version", models.BigIntegerField(default=0, editable=False)),
        *(migrations.AddField("draft", name, field()) for name, field in TEXT.items()),
        migrations.RunSQL(SEQUENCE, "DROP SEQUENCE annotate_draft_version"),
        migrations.RunSQL(FUNCTION, "DROP FUNCTION annotate_number_draft()"),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER draft_numbered ON annotate_draft"),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="KeptDraft",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                *((name, field()) for name, field in TEXT.items()),
                ("body", models.JSONField()),
                ("saved_at", models.DateTimeField()),
                (
                    "labeler",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="annotate.task",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("task", "labeler", "writer"), name="one_kept_draft_per_writer"
                    )
                ],
            },
        ),
    ]
