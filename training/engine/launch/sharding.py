"""What the launcher of several processes decided, against the spec."""

import os
from collections.abc import Mapping

from training.engine.errors import SpecError
from training.engine.spec import RunSpec

WHOLE = "adamw"  # the one optimizer that is PyTorch's own


def refuse_what_cannot_be_sharded(
    spec: RunSpec, environment: Mapping[str, str] = os.environ
) -> None:
    """Raises SpecError for an optimizer of bitsandbytes where FSDP spreads the parameters.

    It knows plain tensors only: on shards (DTensor) it writes where it should not.
    """
    if environment.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1"):
        refuse_unshardable(spec)


def refuse_unshardable(spec: RunSpec) -> None:
    """The same, for who knows that it will be spread."""
    if spec.optimizer.name != WHOLE:
        raise SpecError(
            f"optimizer.name: {spec.optimizer.name} cannot work where the base is spread over GPUs "
            "(FSDP).",
            advice=f'Set optimizer.name to "{WHOLE}", or start the run with ddp.yaml.',
        )
