"""Running one step of a set-up: its name, its seconds, its log, and one line when it fails."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LOG = Path(os.environ.get("VAR_DIR") or CHECKOUT / "var").expanduser() / "log" / "setup.log"
HEARTBEAT = 15.0  # seconds between two signs of life


class Failed(Exception):
    """A step did not work; the text says what to do."""


def logged(
    what: str,
    command: Sequence[str],
    *,
    folder: Path = CHECKOUT,
    environment: Mapping[str, str] | None = None,
    advice: str = "",
    quiet: bool = False,
) -> None:
    """Run a command, its output in the log. Raises Failed with the log's last error line.

    quiet: a failure is not announced, because the caller has another way.
    """
    print(f"{what} …", flush=True)
    LOG.parent.mkdir(parents=True, exist_ok=True)
    begin = spoke = time.monotonic()
    with LOG.open("ab") as log:
        log.write(f"\n$ {' '.join(command)}\n".encode())
        log.flush()
        start = log.tell()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - spoke > HEARTBEAT:
                    spoke = time.monotonic()
                    print(f"  … {spoke - begin:.0f} s: {_last(start)}", flush=True)
        finally:
            process.kill()
            process.wait()
    if process.returncode == 0:
        print(f"{what}: done in {time.monotonic() - begin:.1f} s", flush=True)
    elif not quiet:
        hint = f" ({advice})" if advice else ""
        raise Failed(f"{what} failed: {_reason(start)}{hint}; all of it is in {LOG}")
    else:
        raise Failed(what)


def _lines(start: int) -> list[str]:
    with LOG.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace").replace("\r", "\n")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _last(start: int) -> str:
    lines = _lines(start)
    return lines[-1][:100] if lines else "working"


def _reason(start: int) -> str:
    lines = _lines(start)
    errors = [line for line in lines if "error" in line.lower() or "No space left" in line]
    return (errors or lines or ["it said nothing"])[-1][:300]
