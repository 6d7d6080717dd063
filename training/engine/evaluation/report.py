"""`evaluation.json`: everything measured of a run, in one file of a stable shape.

Every part has its key in the file, null when it was not measured; `missing` then says why. Floats
are finite. Estimates are `{value, low, high, count, clusters, method}` with 95% intervals.
Version 1 had `agreement.ceiling` for what is `agreement.pairwise`, and no majority of the others.
"""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from training.engine.evaluation.accuracy import OfStrength
from training.engine.evaluation.agreement import Agreement
from training.engine.evaluation.calibration import Calibration
from training.engine.evaluation.curve import Point
from training.engine.evaluation.drift import Divergence, Length
from training.engine.evaluation.estimates import Estimate
from training.engine.evaluation.forgetting import Forgetting
from training.engine.whole import write_whole

VERSION = 2
NOT_ASKED = "not asked for"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """accuracy: of held-out strict pairs; accuracy_by_strength: of those of one strength each.
    calibration: of σ(difference). agreement: of labelers with each other, beside the accuracy.
    general_text, demonstrations: forgetting on either. length: tokens of answers, trained against
    base. kl: of the policy from its reference. learning_curve: accuracy by share of the data.
    missing: why a part is None.
    """

    accuracy: Estimate | None = None
    accuracy_by_strength: tuple[OfStrength, ...] | None = None
    calibration: Calibration | None = None
    agreement: Agreement | None = None
    general_text: Forgetting | None = None
    demonstrations: Forgetting | None = None
    length: Length | None = None
    kl: Divergence | None = None
    learning_curve: tuple[Point, ...] | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def merged(self, other: "Evaluation") -> "Evaluation":
        """This one with the parts that `other` has, and its reasons for those that neither has."""
        found = {name: getattr(other, name) for name in PARTS if getattr(other, name) is not None}
        both = replace(self, **found)
        reasons = self.missing | other.missing
        missing = {name: reasons[name] for name in reasons if getattr(both, name) is None}
        return replace(both, missing=missing)

    def to_json(self) -> dict[str, Any]:
        """As the file has it. Raises ValueError for a reason that is about no part."""
        unknown = sorted(self.missing.keys() - set(PARTS))
        if unknown:
            raise ValueError(f"no such part of an evaluation: {', '.join(unknown)}")
        missing = {
            name: self.missing.get(name, NOT_ASKED) for name in PARTS if getattr(self, name) is None
        }
        return {"version": VERSION, **asdict(self), "missing": missing}


PARTS = tuple(one.name for one in fields(Evaluation) if one.name != "missing")


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Whole or not at all. Raises ValueError for a number that is not finite."""
    text = json.dumps(evaluation.to_json(), indent=2, allow_nan=False)
    write_whole(path, text + "\n")
