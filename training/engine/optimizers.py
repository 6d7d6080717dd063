"""The optimizer over exactly what is trained."""

from typing import Any

import torch
from torch import nn

from training.engine.errors import SpecError
from training.engine.spec import Optimizer


def build_optimizer(
    module: nn.Module, spec: Optimizer, *, head_lr: float | None = None
) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters; those of a reward head may have their own rate.

    Raises SpecError for a paged or 8-bit optimizer where bitsandbytes has none.
    """
    head = [
        p for name, p in module.named_parameters() if p.requires_grad and ".head." in f".{name}"
    ]
    known = {id(parameter) for parameter in head}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in known]
    groups: list[dict[str, Any]] = [{"params": rest, "lr": spec.lr}]
    if head:
        groups.append({"params": head, "lr": spec.lr if head_lr is None else head_lr})
    return optimizer_over(groups, spec)


def optimizer_over(groups: list[dict[str, Any]], spec: Optimizer) -> torch.optim.Optimizer:
    """AdamW over these groups of parameters, each with its rate. Raises SpecError as above."""
    options: dict[str, Any] = {"betas": spec.betas, "weight_decay": spec.weight_decay}
    if spec.name == "adamw":
        return torch.optim.AdamW(groups, lr=spec.lr, **options)
    if not torch.cuda.is_available():
        raise SpecError(
            f"The optimizer {spec.name} needs a GPU.", advice='Set optimizer.name to "adamw".'
        )
    found: torch.optim.Optimizer = _bitsandbytes(spec.name)(groups, lr=spec.lr, **options)
    return found


def _bitsandbytes(name: str) -> Any:
    # Wanted only on a GPU; importing it takes a second.
    from bitsandbytes.optim import adamw

    return {
        "adamw_8bit": adamw.AdamW8bit,
        "paged_adamw_8bit": adamw.PagedAdamW8bit,
        "paged_adamw_32bit": adamw.PagedAdamW32bit,
    }[name]
