"""KTO's own files: single completions with a label."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.data.samples import (
    answer,
    chatml,
    dropped,
    load,
    pair,
    text,
    user,
    write,
)
from training.engine.data import Labeled
from training.engine.data.demonstration_rows import WEIGHTED
from training.engine.data.drafts import TOO_LONG
from training.engine.data.unpaired import BAD_LABEL, NO_ANSWER, NO_UNPAIRED
from training.engine.errors import DataError, SpecError
from training.engine.spec import Method, parse_spec


def row(number: int, label: Any = True, **columns: Any) -> dict[str, Any]:
    return {"prompt": f"Q{number}", "completion": f"A{number}", "label": label, **columns}


def unpaired(folder: Path, *rows: Any, **data: Any) -> Any:
    file = write(folder / "u.jsonl", rows)
    return load(Method.KTO, unpaired=(file,), **data)


def said(one: Labeled) -> tuple[str, str, bool]:
    return text(one.prompt), text(one.completion), one.desirable


def test_every_form_of_a_labeled_completion(tmp_path: Path) -> None:
    found = unpaired(
        tmp_path,
        row(1),
        row(2, False, prompt=user("Q2"), completion=answer("A2")),
        {"messages": user("Q3") + answer("A3"), "label": False},
        row(4, completion="cut", finish_reason="length"),
        row(5, system="S"),
    )

    assert [said(one) for one in found.labeled] == [
        (chatml(("user", "Q1")), "A1<|im_end|>", True),
        (chatml(("user", "Q2")), "A2<|im_end|>", False),
        (chatml(("user", "Q3")), "A3<|im_end|>", False),
        (chatml(("user", "Q4")), "cut", True),
        (chatml(("system", "S"), ("user", "Q5")), "A5<|im_end|>", True),
    ]
    assert [one.key for one in found.labeled] == [f"u.jsonl:{n}" for n in range(1, 6)]
    assert (found.train, found.report.warning()) == ([], "")


def test_what_is_no_labeled_completion_is_counted(tmp_path: Path) -> None:
    found = unpaired(
        tmp_path,
        row(1),
        row(2, "bad"),
        row(3, 1),
        row(4, None),
        {"prompt": "Q", "label": True},
        {"messages": user("Q"), "label": True},
        row(7, weight=2),
        row(8, completion="x" * 50),
        max_completion_tokens=20,
    )
    assert len(found.labeled) == 1
    assert dropped(found) == {
        BAD_LABEL: 2,
        NO_UNPAIRED: 2,
        NO_ANSWER: 1,
        WEIGHTED: 1,
        TOO_LONG: 1,
    }


def test_they_are_held_out_with_the_pairs_of_their_prompts(tmp_path: Path) -> None:
    pairs = write(tmp_path / "p.jsonl", [pair(n, prompt=f"Q{n}") for n in range(100)])
    found = unpaired(
        tmp_path, *(row(n, n % 2 == 0) for n in range(100)), pairs=(pairs,), held_out_fraction=0.2
    )

    lines = [one.key.split(":")[1] for one in found.evaluation_labeled]
    assert lines == [group.key.split(":")[1] for group in found.evaluation] != []
    assert len(found.labeled) + len(found.evaluation_labeled) == 100


def test_evaluation_files_are_never_trained_on(tmp_path: Path) -> None:
    evaluation = write(tmp_path / "e.jsonl", [row(1, False)])
    found = unpaired(tmp_path, row(1), row(2), evaluation_unpaired=(evaluation,))
    assert [one.key for one in found.labeled] == ["u.jsonl:2"]
    assert [one.key for one in found.evaluation_labeled] == ["e.jsonl:1"]
    with pytest.raises(DataError, match="left to train on"):
        unpaired(tmp_path, row(1), evaluation_unpaired=(evaluation,))


def spec(method: str, **data: Any) -> Any:
    return parse_spec(
        {"method": method, "base": {"model": "m"}, "data": data, "training": {"epochs": 1}}
    )


def test_only_kto_takes_them() -> None:
    assert spec("kto", unpaired=["u.jsonl"]).data.unpaired == ("u.jsonl",)
    with pytest.raises(SpecError, match="kto learns from single completions"):
        spec("dpo", pairs=["p.jsonl"], unpaired=["u.jsonl"])
    with pytest.raises(SpecError, match=r"data\.rankings, data\.pairs or data\.unpaired"):
        spec("kto")
