"""The tokens that end a turn by a replica's chat template, measured with its hash."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inference", "0003_replica_places")]

    operations = [
        migrations.AddField(
            model_name="replica",
            name="stop_token_ids",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Tokens that end a turn by its chat template.",
            ),
        ),
    ]
