"""A request to end the run, as all of its processes hear it."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import reduce

from training.engine.errors import Stopped

T = TypeVar("T")


class Stop(Protocol):
    """Whether somebody asked the run to end."""

    @property
    def requested(self) -> bool: ...


def anywhere(*found: bool) -> tuple[bool, ...]:
    """Of each whether it is so in any process.

    All processes have to call.
    """
    state = PartialState()
    if state.num_processes == 1:
        return found
    asked = torch.tensor([float(one) for one in found], device=state.device)
    return tuple((reduce(asked, "sum") > 0).tolist())


def agreed(stop: Stop) -> bool:
    """Whether any process was asked to stop: all of them do so at the same place.

    All processes have to call.
    """
    return anywhere(stop.requested)[0]


def end_if_asked(stop: Stop, where: str) -> None:
    """Raises Stopped, in all processes at once. where: in words, as in "in the evaluation"."""
    if agreed(stop):
        raise Stopped(f"Stopped {where}.")


def to_measure(packs: Iterable[T], stop: Stop) -> Iterator[T]:
    """The same packs; before each the run may be asked to end. All processes take as many."""
    for packed in packs:
        end_if_asked(stop, "in an evaluation")
        yield packed
