"""Switch a model to its reference and back."""

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
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    active = model.active_adapter
    try:
        if REFERENCE in model.peft_config:
            model.set_adapter(REFERENCE, inference_mode=True)
            yield
        else:
            with model.disable_adapter():
                yield
    finally:
        model.set_adapter(active)
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
