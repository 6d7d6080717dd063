"""A run as a process: its folder, its signs of life, its end in words."""

from training.engine.process.folder import RunFolder
from training.engine.process.reporter import Reporter
from training.engine.process.stop import StopRequest

__all__ = ["Reporter", "RunFolder", "StopRequest"]
