"""Import contracts by exclusion: what nobody but one room may reach, and all that a room may know.

import-linter's own contracts list who is forbidden to import, and a new package is on no list.
`lint-imports` finds them through pyproject.toml.
"""

from collections.abc import Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields
from importlinter.contracts.forbidden import ForbiddenContract


def everything_but(graph: ImportGraph, roots: list[str], rooms: set[str]) -> Iterator[str]:
    """The largest packages and modules under `roots` that neither are in `rooms` nor hold any."""
    for name in roots:
        if name in rooms:
            continue
        if any(room.startswith(f"{name}.") for room in rooms):
            yield from everything_but(graph, sorted(graph.find_children(name)), rooms)
        else:
            yield name


class _ByExclusion(Contract):
    def _forbid(
        self, graph: ImportGraph, verbose: bool, who: list[str], what: list[str]
    ) -> ContractCheck:
        options = {"name": self.name, "source_modules": who, "forbidden_modules": what}
        self._found: Any = ForbiddenContract(self.name, self.session_options, options)
        check: ContractCheck = self._found.check(graph, verbose)
        return check

    def render_broken_contract(self, check: ContractCheck) -> None:
        self._found.render_broken_contract(check)

    def _roots(self) -> list[str]:
        return list(self.session_options["root_packages"])


class OnlyIn(_ByExclusion):
    """Nothing outside of `rooms` reaches `modules`, by any chain of imports."""

    type_name = "only_in"

    rooms = fields.SetField(subfield=fields.StringField())
    modules = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        others = everything_but(graph, self._roots(), set(_texts(self.rooms)))
        return self._forbid(graph, verbose, list(others), _texts(self.modules))


class Knows(_ByExclusion):
    """Of our own packages `room` reaches itself and those in `allowed`."""

    type_name = "knows"

    room = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        known = {str(self.room), *_texts(self.allowed)}
        others = everything_but(graph, self._roots(), known)
        return self._forbid(graph, verbose, [str(self.room)], list(others))


def _texts(field: Any) -> list[str]:
    return sorted(map(str, field or ()))
