"""A task has no more places than it requires, whoever makes them."""

from typing import ClassVar

from django.db import migrations

FUNCTION = """
CREATE FUNCTION annotate_refuse_surplus_slot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.number >= (SELECT required FROM annotate_task WHERE id = NEW.task_id) THEN
        RAISE EXCEPTION 'slot_within_required: task % has all its slots', NEW.task_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'slot_within_required';
    END IF;
    RETURN NEW;
END $$;
"""
TRIGGER = """
CREATE TRIGGER slot_within_required BEFORE INSERT OR UPDATE OF task_id, number ON annotate_slot
FOR EACH ROW EXECUTE FUNCTION annotate_refuse_surplus_slot();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0002_append_only")]
    operations: ClassVar = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION annotate_refuse_surplus_slot()"),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER slot_within_required ON annotate_slot"),
    ]
