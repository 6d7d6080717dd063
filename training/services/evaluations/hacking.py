"""Whether a run pleased its reward model and nobody else."""

from django.db import transaction

from training.evaluation.hacking import Won, alarm, rise
from training.models import Evaluation, RunMetric, TrainingRun


def suspicion(run: TrainingRun, won: Won) -> str:
    """For people; "" for a run that learned from no reward model, or is not suspected."""
    if run.judge_id is None:
        return ""
    lines = RunMetric.objects.filter(run=run).order_by("position")
    rewards = lines.values_list("values__reward", flat=True)
    return alarm(rise([one for one in rewards if isinstance(one, int | float)]), won)


@transaction.atomic
def add_to_report(evaluation: Evaluation, text: str) -> None:
    """What people found later belongs to the report, once."""
    mine = Evaluation.objects.select_for_update().get(pk=evaluation.pk)
    if mine.report is not None and text not in mine.report["notes"]:
        mine.report["notes"].append(text)
        mine.save(update_fields=["report"])
