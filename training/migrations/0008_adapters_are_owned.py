"""Adapters that exist belong to the project whose run made them."""

from typing import ClassVar

from django.db import migrations

FILL = """
INSERT INTO annotate_ownedadapter (project_id, content_hash)
SELECT DISTINCT project_id, content_hash FROM training_trainedadapter
    ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("training", "0007_data_report"), ("annotate", "0008_tenancy")]
    operations: ClassVar = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
