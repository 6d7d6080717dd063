"""The settings that a labeler was shown are recorded with the claim.

A trigger keeps every version of a project's settings, so no way of changing them forgets one.
Claims that there are get today's.
"""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

CONTENT = """
jsonb_build_object(
    'k_default', {row}.k_default, 'ties_allowed', {row}.ties_allowed, 'strength', {row}.strength,
    'axes', {row}.axes, 'tags', to_jsonb({row}.tags), 'rationale', {row}.rationale,
    'write_better', {row}.write_better)
"""
FUNCTION = f"""
CREATE FUNCTION annotate_keep_judging_settings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked jsonb := {CONTENT.format(row="NEW")};
BEGIN
    IF asked IS DISTINCT FROM (SELECT content FROM annotate_judgingsettings
                                WHERE project_id = NEW.id ORDER BY id DESC LIMIT 1) THEN
        INSERT INTO annotate_judgingsettings (project_id, content) VALUES (NEW.id, asked);
    END IF;
    RETURN NULL;
END $$;
"""  # noqa: S608  (made of constants)
TRIGGER = """
CREATE TRIGGER judging_settings_kept AFTER INSERT OR UPDATE ON annotate_project
FOR EACH ROW EXECUTE FUNCTION annotate_keep_judging_settings();
"""
APPEND_ONLY = """
CREATE TRIGGER annotate_judgingsettings_append_only BEFORE UPDATE ON annotate_judgingsettings
FOR EACH ROW EXECUTE FUNCTION annotate_refuse_change();
"""
# Foreign keys are checked at once, or the column could not be tightened in the same transaction.
FILL = f"""
SET LOCAL statement_timeout = 0;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO annotate_judgingsettings (project_id, content)
SELECT p.id, {CONTENT.format(row="p")} FROM annotate_project p;
UPDATE annotate_claim c SET settings_id = j.id
  FROM annotate_judgingsettings j WHERE j.project_id = c.project_id;
"""  # noqa: S608  (made of constants)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0005_identical_answers_tied")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="JudgingSettings",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("content", models.JSONField()),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="judging_settings",
                        to="annotate.project",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["project", "-id"], name="judging_settings_newest")
                ],
            },
        ),
        migrations.AddField(
            model_name="claim",
            name="settings",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="+",
                to="annotate.judgingsettings",
            ),
        ),
        migrations.RunSQL(FUNCTION, "DROP FUNCTION annotate_keep_judging_settings()"),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER judging_settings_kept ON annotate_project"),
        migrations.RunSQL(
            APPEND_ONLY,
            "DROP TRIGGER annotate_judgingsettings_append_only ON annotate_judgingsettings",
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="claim",
            name="settings",
            field=models.ForeignKey(
                db_index=False,
                help_text="Those that its labeler was shown: what they say is judged by them.",
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="+",
                to="annotate.judgingsettings",
            ),
        ),
    ]
