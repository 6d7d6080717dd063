"""A graph from cause to effect, and the part of it that hangs together with one node."""

from collections import Counter
from datetime import datetime
from typing import Any

from annotate.errors import NotFound
from training.queries.standing import Stands


class Graph:
    """Nodes and edges. Inside of it both go by primary keys, which nobody outside is told."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: Counter[tuple[str, str]] = Counter()

    def add(
        self,
        key: str,
        *,
        kind: str,
        title: str,
        number: int | None = None,
        detail: str = "",
        at: datetime | None = None,
        standing: Stands | None = None,
    ) -> None:
        self.nodes[key] = {
            "id": f"{kind}-{title if number is None else number}",
            "kind": kind,
            "number": number,
            "title": title,
            "detail": detail,
            "at": at,
            "standing": standing,
        }

    def link(self, cause: str, effect: str, count: int = 0) -> None:
        self.edges[cause, effect] += count

    def within(self, name: str) -> None:
        """Leave only this node, what it came from and what became of it. Raises NotFound."""
        key = next((key for key, node in self.nodes.items() if node["id"] == name), None)
        if key is None:
            raise NotFound
        kept = self._reached(key, forward=True) | self._reached(key, forward=False)
        self.nodes = {each: node for each, node in self.nodes.items() if each in kept}

    def _reached(self, key: str, *, forward: bool) -> set[str]:
        found, new = {key}, [key]
        while new:
            here = new.pop()
            for cause, effect in self.edges:
                start, end = (cause, effect) if forward else (effect, cause)
                if start == here and end not in found and end in self.nodes:
                    found.add(end)
                    new.append(end)
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "nodes": list(self.nodes.values()),
            "edges": [
                {
                    "from": self.nodes[cause]["id"],
                    "to": self.nodes[effect]["id"],
                    "count": count or None,
                }
                for (cause, effect), count in self.edges.items()
                if cause in self.nodes and effect in self.nodes
            ],
        }
