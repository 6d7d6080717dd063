"""The memory of a run: its estimate before, and the measured peak beside it afterwards."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a wrong spec is refused without the seconds of importing torch
    from torch import nn

    from training.engine.memory.estimate import MemoryEstimate
    from training.engine.memory.peak import Peak, PeakMemory


class RunMemory:
    """measuring: from before the model is loaded. Until `expect`, nothing is known of the model."""

    def __init__(self, measuring: "PeakMemory") -> None:
        self._measuring = measuring
        self._needed: MemoryEstimate | None = None
        self._model: nn.Module | None = None

    def expect(self, needed: "MemoryEstimate", model: "nn.Module") -> None:
        """model: its weights on the CPU may be pages of their file, which count too."""
        self._needed, self._model = needed, model

    def peak(self) -> "Peak":
        """The most that the run has held so far."""
        return self._measuring.peak(self._model)

    def peak_mb(self) -> float:
        """The same in MB (2**20 bytes)."""
        return round(self.peak().allocated / 2**20, 1)

    def to_text(self, peak: "Peak | None" = None) -> str:
        """The table of the estimate, with the measured peak if there is one; "" without either."""
        if self._needed is None:
            return ""
        return self._needed.to_text(None if peak is None else peak.allocated).rstrip()
