"""Statements as Django writes them, but for lists: a long one is one parameter, not thousands.

PostgreSQL takes 65,535 parameters with a statement, and `field__in` of a list gives each value one.
Whatever builds such a list (a filter, `in_bulk`, a prefetch, a deletion) is safe at any length.
"""

from typing import Any

# The stubs lack what django.db.backends.postgresql.compiler has.
from django.db.backends.postgresql import compiler  # type: ignore[attr-defined]
from django.db.models.expressions import ColPairs  # type: ignore[attr-defined]
from django.db.models.lookups import In

LONG = 1000  # shorter lists stay as they are: PostgreSQL plans them by each value
PLACEHOLDER = "%s"


class ListsAsArrays:
    """Part of a compiler."""

    connection: Any

    def compile(self, node: Any) -> tuple[str, Any]:
        long = _long_list(node)
        if long is not None and (found := self._any_of(long)) is not None:
            return found
        compiled: tuple[str, Any] = super().compile(node)  # type: ignore[misc]
        return compiled

    def _any_of(self, node: Any) -> tuple[str, list[Any]] | None:
        """None for a list with something else in it than plain values."""
        values = [value for value in node.rhs if value is not None]  # NULL is never equal
        places, given = node.batch_process_rhs(self, self.connection, values)
        if any(place != PLACEHOLDER for place in places):
            return None
        left, left_given = node.process_lhs(self, self.connection)
        return f"{left} = ANY({PLACEHOLDER})", [*left_given, list(given)]


def _long_list(node: Any) -> Any:
    """The lookup (In) in a long list that the node is; None for all else.

    A prefetch writes one column as a pair of one.
    """
    if not isinstance(node, In) or not node.rhs_is_direct_value() or len(node.rhs) <= LONG:
        return None
    if not isinstance(node.lhs, ColPairs):
        return None if isinstance(node.lhs, tuple) else node
    columns = node.lhs.get_cols()
    return In(columns[0], [value for (value,) in node.rhs]) if len(columns) == 1 else None


class SQLCompiler(ListsAsArrays, compiler.SQLCompiler):  # type: ignore[misc]
    """Of SELECT."""


class SQLInsertCompiler(ListsAsArrays, compiler.SQLInsertCompiler):  # type: ignore[misc]
    """Of INSERT."""


class SQLDeleteCompiler(ListsAsArrays, compiler.SQLDeleteCompiler):  # type: ignore[misc]
    """Of DELETE."""


class SQLUpdateCompiler(ListsAsArrays, compiler.SQLUpdateCompiler):  # type: ignore[misc]
    """Of UPDATE."""


class SQLAggregateCompiler(ListsAsArrays, compiler.SQLAggregateCompiler):  # type: ignore[misc]
    """Of aggregates over a query."""
