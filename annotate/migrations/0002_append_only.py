"""What was written, said or done is never changed afterwards: the database refuses it."""

from typing import ClassVar

from django.db import migrations

# The columns of a table that may change; every other column is as it was written.
MUTABLE = {
    "annotate_completion": [],
    "annotate_ranking": ["current", "withdrawn_at"],
    "annotate_demonstration": [],
    "annotate_auditevent": [],
}

# A trigger without arguments has NULL for their list, and nothing is distinct after taking NULL away.
FUNCTION = """
CREATE FUNCTION annotate_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    mutable text[] := COALESCE(TG_ARGV::text[], ARRAY[]::text[]);
BEGIN
    IF (to_jsonb(NEW) - mutable) IS DISTINCT FROM (to_jsonb(OLD) - mutable) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""


def trigger(table: str, columns: list[str]) -> str:
    arguments = ", ".join(f"'{column}'" for column in columns)
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION annotate_refuse_change({arguments});"
    )


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0001_initial")]
    operations: ClassVar = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION annotate_refuse_change()"),
        *(
            migrations.RunSQL(
                trigger(table, columns), f"DROP TRIGGER {table}_append_only ON {table}"
            )
            for table, columns in MUTABLE.items()
        ),
    ]
