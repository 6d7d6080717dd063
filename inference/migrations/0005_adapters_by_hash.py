"""Adapters are found by their hash, not in a folder of the machine that registered them.

And who was asked last is known, so that the longest unasked gives its place to another.
"""

import json
from pathlib import Path
from typing import ClassVar

from django.db import migrations, models
from django.db.models import Q


def keep_templates(apps, schema_editor):  # type: ignore[no-untyped-def]
    """As far as the folder is there: without it nobody is warned of another template."""
    for adapter in apps.get_model("inference", "Adapter").objects.all():
        try:
            card = json.loads((Path(adapter.folder) / "adapter.json").read_bytes())
            adapter.template = str(card["template"])[:64]
        except (OSError, ValueError, TypeError, KeyError):
            continue
        adapter.save(update_fields=["template"])


class Migration(migrations.Migration):
    dependencies: ClassVar = [("inference", "0004_replica_stop_token_ids")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="adapter",
            name="template",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Hash of the chat template it was trained with.",
                max_length=64,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(keep_templates, migrations.RunPython.noop, elidable=True),
        migrations.RemoveField(model_name="adapter", name="folder"),
        migrations.AddField(
            model_name="adapter",
            name="asked_at",
            field=models.DateTimeField(
                blank=True, help_text="When somebody last wanted an answer by it.", null=True
            ),
        ),
        migrations.AddField(
            model_name="serving",
            name="leaving_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Since when nothing more is asked of it, for its place.",
                null=True,
            ),
        ),
        migrations.RemoveConstraint(model_name="adapter", name="one_zero_of_a_base"),
        migrations.AddConstraint(
            model_name="adapter",
            constraint=models.UniqueConstraint(
                condition=Q(state="serving", zero=True),
                fields=("base",),
                name="one_zero_of_a_base",
            ),
        ),
    ]
