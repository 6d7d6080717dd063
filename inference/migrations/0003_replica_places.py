"""How many adapters a replica has places for, as far as it has said."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inference", "0002_adapters")]

    operations = [
        migrations.AddField(
            model_name="replica",
            name="places",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="For adapters (--max-loras), once the server has said it.",
                null=True,
            ),
        ),
    ]
