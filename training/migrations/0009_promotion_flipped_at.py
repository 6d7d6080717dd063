"""Since when requests get the new model; what they get has not failed."""

from typing import ClassVar

from django.db import migrations, models
from django.db.models import F, Q


def fill(apps, schema_editor):  # type: ignore[no-untyped-def]
    promotions = apps.get_model("training", "Promotion").objects
    promotions.filter(state="done").update(flipped_at=F("finished_at"))


class Migration(migrations.Migration):
    dependencies: ClassVar = [("training", "0008_adapters_are_owned")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="promotion",
            name="flipped_at",
            field=models.DateTimeField(
                blank=True, help_text="Since when requests get the new model.", null=True
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=~Q(state="failed") | Q(flipped_at__isnull=True),
                name="failed_promotion_is_not_served",
            ),
        ),
    ]
