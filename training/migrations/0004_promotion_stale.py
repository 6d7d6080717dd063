"""What becomes of open tasks is said with each promotion."""

from typing import ClassVar

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies: ClassVar = [("training", "0003_runs_to_loop")]
    operations: ClassVar = [
        migrations.AddField(
            model_name="promotion",
            name="stale",
            field=models.CharField(
                choices=[
                    ("keep", "kept"),
                    ("mark", "marked stale"),
                    ("regenerate", "written anew"),
                ],
                default="keep",
                help_text="What becomes of open tasks that the former model wrote.",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=Q(stale__in=["keep", "mark", "regenerate"]),
                name="promotion_stale_known",
            ),
        ),
    ]
