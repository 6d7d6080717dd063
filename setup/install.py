"""`make install`: the environment .venv with exactly the packages of the lock file.

Runs under the bare system Python, so it uses the standard library alone. Nothing is done when
the lock is installed already.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from setup.steps import Failed, logged  # noqa: E402

VENV = CHECKOUT / ".venv"
STAMP = VENV / "prefloop.json"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_GB = {"cpu": 6, "gpu": 16}


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        found = ".".join(str(part) for part in sys.version_info[:3])
        raise Failed(
            f"Python 3.11 is needed, {sys.executable} is {found}: install Python 3.11 and name it "
            "with `make run PYTHON=/path/to/python3.11`"
        )
    for module in ("ssl", "venv", "ctypes"):
        if importlib.util.find_spec(f"_{module}" if module != "venv" else module) is None:
            raise Failed(f"{sys.executable} lacks the module {module}: install a whole Python 3.11")
    kind = "gpu" if has_gpu() else "cpu"
    lock = CHECKOUT / "requirements" / f"{kind}.lock"
    wanted = {
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest(),
        "place": str(VENV),
        "python": sys.version.split()[0],
    }
    installed = json.loads(STAMP.read_text()) if STAMP.exists() else None
    if installed == wanted:
        return
    check_disk(NEEDED_GB[kind])
    if installed and installed["place"] != wanted["place"]:
        shutil.rmtree(VENV)  # the checkout was moved, its programs name the old place
    if not works():
        shutil.rmtree(VENV, ignore_errors=True)
        logged("Making .venv", [sys.executable, "-m", "venv", str(VENV)], advice=VENV_ADVICE)
    install(lock, kind)
    STAMP.write_text(json.dumps(wanted))


VENV_ADVICE = "on Debian and Ubuntu the package python3.11-venv may be missing"


def has_gpu() -> bool:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    return subprocess.run([tool], capture_output=True, check=False).returncode == 0


def works() -> bool:
    python = VENV / "bin" / "python"
    if not python.exists():
        return False
    check = "import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))"
    return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0


def check_disk(gigabytes: int) -> None:
    free = shutil.disk_usage(CHECKOUT).free / 1024**3
    if free < gigabytes and not STAMP.exists():
        raise Failed(
            f"The disk of {CHECKOUT} has {free:.1f} GB left, about {gigabytes} GB are needed: "
            "free some space"
        )


def install(lock: Path, kind: str) -> None:
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--progress-bar=off"]
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    if kind == "cpu":
        install_cpu_torch(pip, lock)
    logged(f"Installing the packages of {lock.name}", [*pip, "-r", str(lock)], advice=NET_ADVICE)


NET_ADVICE = "is there a connection to the package index, and space on the disk?"


def install_cpu_torch(pip: list[str], lock: Path) -> None:
    """PyTorch's CPU build is on PyTorch's own index; pip may be configured to know a nearer one."""
    torch = next(line for line in lock.read_text().splitlines() if line.startswith("torch=="))
    try:
        logged("Installing PyTorch for the CPU", [*pip, torch], quiet=True)
    except Failed:
        public = [*pip, "--index-url", TORCH_CPU_INDEX, torch]
        logged("Installing PyTorch for the CPU from its own index", public, advice=NET_ADVICE)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"\nPrefloop cannot be installed: {failed}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; the next run continues.")
