"""Everything that held-out rankings tell of a model that scores completions."""

from collections.abc import Iterable, Iterator

from training.engine.evaluation.accuracy import accuracy, accuracy_by_strength
from training.engine.evaluation.agreement import Ties, agreement
from training.engine.evaluation.calibration import calibration
from training.engine.evaluation.judged import Score, judge
from training.engine.evaluation.report import Evaluation
from training.engine.groups import Group
from training.engine.packing import Pack


def preferences(
    packs: Iterable[Pack], score: Score, *, ties: Ties = "half", seed: int = 0
) -> Evaluation:
    """Accuracy, calibration and the agreement of labelers on the groups of the packs.

    score: (C,) of the completions of a pack; see `judge`.
    """
    groups: list[Group] = []

    def remembered() -> Iterator[Pack]:
        for packed in packs:
            groups.extend(packed.groups)
            yield packed

    judged = judge(remembered(), score)
    missing: dict[str, str] = {}
    if not judged.strict.any():
        nothing = "no held-out pair has a winner"
        missing |= {"accuracy": nothing, "accuracy_by_strength": nothing}
    if not len(judged.differences):
        missing["calibration"] = "no held-out pairs"
    return Evaluation(
        accuracy=accuracy(judged, seed=seed),
        accuracy_by_strength=accuracy_by_strength(judged, seed=seed) or None,
        calibration=calibration(judged),
        agreement=agreement(groups, ties=ties, seed=seed),
        missing=missing,
    )
