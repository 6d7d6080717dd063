from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("training", "0006_rollouts")]
    operations: ClassVar = [
        migrations.AddField(
            "trainingrun",
            "data_report",
            models.JSONField(
                help_text="The engine's data_report.json: what was left out of the data.", null=True
            ),
        ),
    ]
