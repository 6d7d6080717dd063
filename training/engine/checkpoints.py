"""Checkpoints from which a run goes on as if it had not stopped.

A checkpoint holds what changes: the trainable weights, the optimizer, the schedule, the state of
every random number generator. The frozen base is not in it. It is written beside its place and
moved there whole, so a run that is killed while writing goes on from the one before.
"""

import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from training.engine.errors import SpecError
from training.engine.whole import whole_folder

PREFIX = "step-"
FILE = "state.pt"


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint of a step, and remove all but the last `keep`.

    Raises OSError when the disk is full; what was there before stays.
    """
    place = place_of(folder, step)
    with whole_folder(place) as draft:
        torch.save({"step": step, **state}, draft / FILE)
    keep_last(folder, keep, FILE)
    return place


def place_of(folder: Path, step: int) -> Path:
    return folder / f"{PREFIX}{step:06d}"


def keep_last(folder: Path, keep: int, file: str) -> None:
    """Remove all checkpoints with this file but the last `keep`."""
    for old in _all(folder, file)[:-keep]:
        shutil.rmtree(old)


def latest(folder: Path, file: str = FILE) -> Path | None:
    """The last whole checkpoint; what a killed run left half-written is cleared away.

    file: what a whole one holds.
    """
    if folder.is_dir():
        for draft in folder.glob(f".{PREFIX}*"):
            shutil.rmtree(draft, ignore_errors=True)
    found = _all(folder, file)
    return found[-1] if found else None


def load(place: Path) -> dict[str, Any]:
    """Raises SpecError when the file cannot be read."""
    try:
        state: dict[str, Any] = torch.load(place / FILE, map_location="cpu", weights_only=False)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as problem:
        raise SpecError(
            f"The checkpoint {place.name} cannot be read: {problem}",
            advice="Delete its folder; the run then goes on from the one before.",
        ) from problem
    return state


def _all(folder: Path, file: str) -> list[Path]:
    """The whole checkpoints, which hold this file; oldest first."""
    found = (place for place in folder.glob(f"{PREFIX}*") if (place / file).is_file())
    return sorted(found, key=lambda place: int(place.name.removeprefix(PREFIX)))


def trainable_state(module: nn.Module) -> dict[str, Tensor]:
    """The weights that training changes, by name, on the CPU; gathered where they are sharded."""
    return {
        name: whole(parameter.detach())
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def whole(value: Any) -> Any:
    """A state with every tensor on the CPU and gathered from all processes; all have to call."""
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(one) for one in value)
    if isinstance(value, DTensor):
        value = value.full_tensor()
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Put a gathered state back, sharded as its parameters are."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    state = {
        number: {name: _placed(value, parameters[number]) for name, value in entries.items()}
        for number, entries in saved["state"].items()
    }
    optimizer.load_state_dict({**saved, "state": state})


def _placed(value: Any, parameter: Tensor) -> Any:
    if not isinstance(parameter, DTensor) or not isinstance(value, Tensor) or not value.dim():
        return value
    value = value.to(parameter.device)
    return distribute_tensor(value, parameter.device_mesh, parameter.placements)


@torch.no_grad()
def load_trainable(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Put saved weights back. Raises SpecError when the names are not those of this model."""
    wanted = {name: one for name, one in module.named_parameters() if one.requires_grad}
    if wanted.keys() != state.keys():
        raise SpecError(
            "The checkpoint belongs to another model or adapter.",
            advice="Start the run in a new folder, or restore its spec.",
        )
    for name, parameter in wanted.items():
        parameter.copy_(_placed(state[name], parameter))


def random_state() -> dict[str, Any]:
    """The state of every generator that training draws from."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
