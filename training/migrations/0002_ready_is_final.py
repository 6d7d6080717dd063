"""A snapshot that is ready never changes: the database refuses it."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("training", "0001_initial"),
        ("annotate", "0002_append_only"),
    ]
    operations: ClassVar = [
        migrations.RunSQL(
            "CREATE TRIGGER training_snapshot_final BEFORE UPDATE ON training_snapshot "
            "FOR EACH ROW WHEN (OLD.state = 'ready') EXECUTE FUNCTION annotate_refuse_change();",
            "DROP TRIGGER training_snapshot_final ON training_snapshot",
        ),
    ]
