"""The model that is trained on: where it is, what it is, and how its weights are held."""

from training.engine.base.content import content_hash
from training.engine.base.context import refuse_longer
from training.engine.base.load import Kind, LoadedBase, load_base
from training.engine.base.padding import padding_token
from training.engine.base.source import locate

__all__ = [
    "Kind",
    "LoadedBase",
    "content_hash",
    "load_base",
    "locate",
    "padding_token",
    "refuse_longer",
]
