"""The memory that a run really took, as its process and its GPU saw it.

Two numbers, on the GPU as on the CPU. `allocated` is what tensors (and everything else) held at one
moment at most: what the estimate speaks of. `resident` is what the machine had to give: on the GPU
with the allocator's reserve, on the CPU with the holes in glibc's heap (see `heap`).
"""

import ctypes
import gc
import re
import resource
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import torch
from torch import nn

from training.engine.memory import heap

_STATUS = Path("/proc/self/status")
_MAPS = Path("/proc/self/maps")
_CLEAR = Path("/proc/self/clear_refs")
INTERVAL_S = 0.02
# A fragmented heap takes a while to add up; then it is looked at less often.
LOOKING = 0.02


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes beyond those of the moment when measuring began."""

    allocated: int
    resident: int

    def to_json(self) -> dict[str, int]:
        return asdict(self)


class PeakMemory:
    """Measures from `start` (or `with`) to `peak`; begin before the model is loaded.

    device: the training's. Sampled on the CPU by a thread, every INTERVAL_S seconds or less often,
    so that it takes a share of LOOKING of a core at most; the resident peak is the kernel's own
    where it lets a process reset it.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._ended = threading.Event()
        self._sampler: threading.Thread | None = None
        self._base = Peak(0, 0)
        self._highest = Peak(0, 0)
        self._exact = False

    def __enter__(self) -> "PeakMemory":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _cuda(self) -> bool:
        return self._device.type == "cuda"

    def start(self) -> None:
        gc.collect()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
            self._base = Peak(
                torch.cuda.memory_allocated(self._device), torch.cuda.memory_reserved(self._device)
            )
            return
        heap.give_back_freed()
        self._exact = _reset_high_water()
        self._base = self._highest = _now()
        self._sampler = threading.Thread(target=self._sample, name="memory", daemon=True)
        self._sampler.start()

    def stop(self) -> None:
        self._ended.set()
        if self._sampler is not None:
            self._sampler.join()

    def peak(self, model: nn.Module | None = None) -> Peak:
        """The highest so far.

        model: whose weights on the CPU may be pages of their file and in no heap; they are added
        to what was allocated.
        """
        if self._cuda:
            highest = Peak(
                torch.cuda.max_memory_allocated(self._device),
                torch.cuda.max_memory_reserved(self._device),
            )
        else:
            self._look()
            resident = _high_water() if self._exact else self._highest.resident
            highest = Peak(self._highest.allocated + mapped_bytes(model), resident)
        return Peak(
            highest.allocated - self._base.allocated, highest.resident - self._base.resident
        )

    def _sample(self) -> None:
        took = 0.0
        while not self._ended.wait(max(INTERVAL_S, took / LOOKING)):
            begin = time.monotonic()
            self._look()
            took = time.monotonic() - begin

    def _look(self) -> None:
        now = _now()
        self._highest = Peak(
            max(self._highest.allocated, now.allocated), max(self._highest.resident, now.resident)
        )


class _Heap(ctypes.Structure):
    """glibc's `struct mallinfo2`, all arenas together."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def _now() -> Peak:
    status = _status()
    resident = status.get("VmRSS", _high_water())
    look = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if look is None:
        return Peak(resident, resident)
    look.restype = _Heap
    blocks = look()
    return Peak(blocks.uordblks + blocks.hblkhd, resident)


def mapped_bytes(model: nn.Module | None) -> int:
    """Of a model's weights, those that are pages of a file."""
    if model is None or not _MAPS.exists():
        return 0
    ranges = [
        (int(start, 16), int(end, 16))
        for start, end in re.findall(r"^(\w+)-(\w+) (?:\S+ +){4}/.+$", _MAPS.read_text(), re.M)
    ]
    storages = {
        storage.data_ptr(): storage.nbytes()
        for storage in (parameter.untyped_storage() for parameter in model.parameters())
    }
    return sum(
        size
        for place, size in storages.items()
        if any(start <= place < end for start, end in ranges)
    )


def _status() -> dict[str, int]:
    if not _STATUS.exists():
        return {}
    lines = re.findall(r"(VmHWM|VmRSS):\s+(\d+) kB", _STATUS.read_text())
    return {name: int(amount) * 1024 for name, amount in lines}


def _high_water() -> int:
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status().get("VmHWM", kibibytes * 1024)


def _reset_high_water() -> bool:
    """Whether the kernel starts its high-water mark anew (Linux: "5" to clear_refs)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True
