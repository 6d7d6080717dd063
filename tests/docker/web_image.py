"""Makes a process see only the packages of the web image; imported at its very start."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "web.lock"


class _Missing(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{fullname} is not in {LOCK.name}", name=fullname)
        return None


def hide_other_packages() -> None:
    """Importing a package that the web image has not raises ModuleNotFoundError from now on."""
    lines = LOCK.read_text().splitlines()
    installed = {_canonical(line.split("==")[0]) for line in lines if not line.startswith("#")}
    hidden = frozenset(
        module
        for module, distributions in packages_distributions().items()
        if not any(_canonical(name) in installed for name in distributions)
    )
    sys.meta_path.insert(0, _Missing(hidden))


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
