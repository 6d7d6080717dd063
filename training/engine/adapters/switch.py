"""Switch a model to another of its adapters and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from training.engine.adapters.names import REFERENCE


@contextmanager
def reference_active(model: Any) -> Iterator[None]:
    """Inside, the PEFT model is the reference: its "reference" adapter, or else the bare base.

    PEFT turns gradients on for whichever adapter it activates, and off for the others; afterwards
    the active adapter and every `requires_grad` are what they were before.
    """
    if REFERENCE in model.peft_config:
        with adapter_active(model, REFERENCE):
            yield
        return
    flags = _flags(model)
    try:
        with model.disable_adapter():
            yield
    finally:
        _restore(flags)


@contextmanager
def adapter_active(model: Any, name: str) -> Iterator[None]:
    """Inside, this adapter of the PEFT model answers; no `requires_grad` changes, inside or after.

    So what is trained stays what it was made to be, whichever adapter is active.
    """
    flags = _flags(model)
    active = model.active_adapter
    try:
        model.set_adapter(name)
        _restore(flags)
        yield
    finally:
        model.set_adapter(active)
        _restore(flags)


def _flags(model: Any) -> list[tuple[Any, bool]]:
    return [(parameter, parameter.requires_grad) for parameter in model.parameters()]


def _restore(flags: list[tuple[Any, bool]]) -> None:
    for parameter, flag in flags:
        parameter.requires_grad_(flag)
