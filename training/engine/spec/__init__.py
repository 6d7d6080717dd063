"""What a run is to do: frozen, typed, refused where it cannot be, saved beside what it produced."""

from training.engine.spec.catalogue import SECTIONS, Method
from training.engine.spec.methods import DPO, KTO, Online, Reward
from training.engine.spec.ppo import PPO
from training.engine.spec.reading import parse_spec, read_spec
from training.engine.spec.run import RunSpec
from training.engine.spec.sections import (
    DATA_FILES,
    Base,
    Data,
    Lora,
    Measuring,
    Optimizer,
    Parent,
    Precision,
    Training,
)

__all__ = [
    "DATA_FILES",
    "DPO",
    "KTO",
    "PPO",
    "SECTIONS",
    "Base",
    "Data",
    "Lora",
    "Measuring",
    "Method",
    "Online",
    "Optimizer",
    "Parent",
    "Precision",
    "Reward",
    "RunSpec",
    "Training",
    "parse_spec",
    "read_spec",
]
