"""What is free of the memory of the device that a run would train on."""

from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available() -> tuple[str, int | None]:
    """ "cuda" or "cpu", and bytes that are free there now; None where the system does not say."""
    if torch.cuda.is_available():
        free, _total = torch.cuda.mem_get_info()
        return "cuda", free
    found = [size for size in (of_machine(_MEMINFO), of_container(_CGROUP)) if size is not None]
    return "cpu", min(found, default=None)


def of_machine(meminfo: Path) -> int | None:
    """Bytes that programs could still take without swapping."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kilobytes[0]) * 1024 if kilobytes else None


def of_container(cgroup: Path) -> int | None:
    """Bytes below the limit of the container (cgroup 2); None where there is no limit."""
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return max(0, int(limit) - used) if limit.isdigit() else None
