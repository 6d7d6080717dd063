"""Tables without a mutable column are protected too, and demonstrations with them.

A trigger without arguments has NULL for its list of them, and what is compared after taking NULL
away from it is never distinct.
"""

from typing import ClassVar

from django.db import migrations

BODY = """
CREATE OR REPLACE FUNCTION annotate_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (to_jsonb(NEW) - {mutable}) IS DISTINCT FROM (to_jsonb(OLD) - {mutable}) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""
FUNCTION = BODY.format(mutable="COALESCE(TG_ARGV::text[], ARRAY[]::text[])")
FUNCTION_BEFORE = BODY.format(mutable="TG_ARGV::text[]")
TRIGGER = (
    "CREATE TRIGGER annotate_demonstration_append_only BEFORE UPDATE ON annotate_demonstration "
    "FOR EACH ROW EXECUTE FUNCTION annotate_refuse_change();"
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0002_append_only")]
    operations: ClassVar = [
        migrations.RunSQL(FUNCTION, FUNCTION_BEFORE),
        migrations.RunSQL(
            TRIGGER, "DROP TRIGGER annotate_demonstration_append_only ON annotate_demonstration"
        ),
    ]
