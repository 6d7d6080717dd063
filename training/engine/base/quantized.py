"""Whether quantization reaches enough of a model to be what was asked for."""

from typing import Any

from training.engine.errors import SpecError
from training.engine.memory.shape import LEAST_QUANTIZED, ModelShape
from training.engine.spec import Base

GB = 10**9


def refuse_mostly_whole(base: Base, config: Any, name: str) -> None:
    """Raises SpecError where most of the weights would stay in 16 bit.

    Experts of a mixture do: they are no linear layers. Seen from the configuration alone, before
    anything is loaded.
    """
    shape = ModelShape.from_config(config)
    share = shape.linear / max(1, shape.linear + shape.experts)
    if share >= LEAST_QUANTIZED:
        return
    raise SpecError(
        f"base.precision: {base.precision.value} reaches {share:.0%} of the weights of {name}. Its "
        f"experts ({shape.experts / GB:,.1f} billion weights) would stay in 16 bit and take "
        f"{2 * shape.experts / GB:,.1f} GB.",
        advice="Set base.precision to bf16, for which the weights take "
        f"{2 * shape.parameters / GB:,.1f} GB, or choose a model without experts.",
    )
