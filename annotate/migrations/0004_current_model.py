"""Sources that follow the project's model, and tasks that a former model wrote."""

from typing import ClassVar

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies: ClassVar = [("annotate", "0003_no_surplus_slot")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="roundsource",
            name="follows",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whatever the project's model is: served_model changes with it.",
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="stale",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Written by what the project's model was before: labelers get it last.",
            ),
        ),
        migrations.AddField(
            model_name="slot",
            name="stale",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RemoveIndex(model_name="slot", name="slot_queue"),
        migrations.AddIndex(
            model_name="slot",
            index=models.Index(
                condition=Q(ranking__isnull=True),
                fields=["round", "stale", "position", "number"],
                name="slot_queue",
            ),
        ),
    ]
