import json
from math import nan
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.judging import group, one_pack, ranking, scores
from training.engine.evaluation.curve import Point
from training.engine.evaluation.drift import Divergence, length_drift
from training.engine.evaluation.estimates import Estimate, ratio
from training.engine.evaluation.forgetting import forgetting
from training.engine.evaluation.judged import Score
from training.engine.evaluation.preferences import preferences
from training.engine.evaluation.report import Evaluation, write_evaluation
from training.engine.evaluation.sampling import Sample

GROUPS = [group(n, 2, ranking((0,), (1,)), ranking((0,), (1,))) for n in range(3)]
ESTIMATE = Estimate(0.5, 0.4, 0.6, 10, 5, "wilson")


def whole() -> Evaluation:
    told = forgetting(one_pack([GROUPS[0]]), saying(-1.0, -2.0, -3.0), saying(-1.0, -2.0, -3.0))
    return preferences(one_pack(GROUPS), scores(1, 0, 1, 0, 0, 1)).merged(
        Evaluation(
            general_text=told,
            demonstrations=told,
            length=length_drift([Sample((1,), True)] * 2, [Sample((1, 2), True)] * 2),
            kl=Divergence(ratio(np.ones(2), np.ones(2)), 1.0, 2),
            learning_curve=(Point(1.0, 3, 6, ESTIMATE),),
        )
    )


def saying(*values: float) -> Score:
    return lambda _packed: torch.tensor(values)


def test_the_file_has_every_part(tmp_path: Path) -> None:
    write_evaluation(whole(), tmp_path / "evaluation.json")

    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(found) == [
        "version",
        "accuracy",
        "accuracy_by_strength",
        "calibration",
        "agreement",
        "general_text",
        "demonstrations",
        "length",
        "kl",
        "learning_curve",
        "missing",
    ]
    assert found["version"] == 2
    assert found["missing"] == {}
    assert list(found["accuracy"]) == ["value", "low", "high", "count", "clusters", "method"]
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["accuracy_by_strength"][0]["strength"] == 0
    assert list(found["calibration"]) == ["error", "brier", "log_loss", "count", "bins"]
    assert found["agreement"]["pairwise"]["value"] == 1
    assert found["general_text"]["ratio"] == 1
    assert found["length"]["difference"]["value"] == -1
    assert found["kl"]["per_token"]["value"] == 1
    assert found["learning_curve"][0]["accuracy"]["value"] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_what_is_missing_has_a_reason() -> None:
    silent = preferences(one_pack([group(0, 2, ranking((0, 1)))]), scores(1, 0))

    found = silent.merged(Evaluation(missing={"kl": "the base is served elsewhere"})).to_json()

    assert found["accuracy"] is None
    assert found["missing"] == {
        "accuracy": "no held-out pair has a winner",
        "accuracy_by_strength": "no held-out pair has a winner",
        "general_text": "not asked for",
        "demonstrations": "not asked for",
        "length": "not asked for",
        "kl": "the base is served elsewhere",
        "learning_curve": "not asked for",
    }
    assert found["calibration"] is not None
    assert found["agreement"]["reason"] == "no prompt was judged by more than one labeler"


def test_a_part_that_was_found_later_takes_its_reason_away() -> None:
    first = Evaluation(missing={"accuracy": "no held-out pair has a winner"})

    both = first.merged(Evaluation(accuracy=ESTIMATE))

    assert both == Evaluation(accuracy=ESTIMATE)
    assert both.merged(first) == both


def test_numbers_that_are_none_and_parts_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    broken = Evaluation(accuracy=Estimate(nan, 0, 1, 1, 1, "wilson"))

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_evaluation(broken, tmp_path / "evaluation.json")
    with pytest.raises(ValueError, match="no such part of an evaluation: agrement"):
        Evaluation(missing={"agrement": "a slip"}).to_json()
    assert list(tmp_path.iterdir()) == []
