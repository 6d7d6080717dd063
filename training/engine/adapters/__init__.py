"""LoRA adapters: attached to a base, switched for the reference, written and read as folders."""

from training.engine.adapters.attach import attach_lora, serving_warning
from training.engine.adapters.files import StoredAdapter, load_adapter, read_adapter, save_adapter
from training.engine.adapters.names import POLICY, REFERENCE
from training.engine.adapters.switch import reference_active

__all__ = [
    "POLICY",
    "REFERENCE",
    "StoredAdapter",
    "attach_lora",
    "load_adapter",
    "read_adapter",
    "reference_active",
    "save_adapter",
    "serving_warning",
]
