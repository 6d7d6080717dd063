"""Thresholds of the policy, on what the evaluation measured."""

from training.evaluation.gate import check
from training.loop.outcomes import GoOn, Outcome
from training.models import Stage
from training.services.loop.stages.incumbent import overtaken
from training.services.loop.stages.stage import LoopStage
from training.services.loop.timeline import note
from training.services.loop.turn import Turn, doubted


def look(turn: Turn) -> Outcome:
    if moved := overtaken(turn):
        return moved
    assert turn.step.evaluation is not None  # noqa: S101
    verdicts = check(turn.step.evaluation.report or {}, turn.settings.gate)
    for verdict in verdicts:
        note(turn.step, f"{'Passed' if verdict.passed else 'Not passed'}: {verdict.text}")
    if missed := [verdict.text for verdict in verdicts if not verdict.passed]:
        turn.keep(promoted=False)
        return GoOn(f"Not promoted. {' '.join(missed)}", Stage.ROUND)
    passed = "The gate is passed" if verdicts else "The gate asks nothing"
    passed += f"{doubted(turn)}."
    if turn.settings.humans:
        passed += " People compare next, without knowing which is which."
    return GoOn(passed)


STAGE = LoopStage(name=Stage.GATE, look=look)
