"""LoRA adapters: attached to a base, switched for the reference, written and read as folders."""

from training.engine.adapters.attach import (
    adapter_parameters,
    add_frozen,
    add_trained,
    attach_lora,
    serving_warning,
)
from training.engine.adapters.files import (
    StoredAdapter,
    load_adapter,
    put_tensors,
    read_adapter,
    save_adapter,
)
from training.engine.adapters.names import CRITIC, POLICY, REFERENCE
from training.engine.adapters.share import adapted_share, share_warning
from training.engine.adapters.switch import adapter_active, reference_active

__all__ = [
    "CRITIC",
    "POLICY",
    "REFERENCE",
    "StoredAdapter",
    "adapted_share",
    "adapter_active",
    "adapter_parameters",
    "add_frozen",
    "add_trained",
    "attach_lora",
    "load_adapter",
    "put_tensors",
    "read_adapter",
    "reference_active",
    "save_adapter",
    "serving_warning",
    "share_warning",
]
