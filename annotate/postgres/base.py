"""What Prefloop does otherwise than Django with PostgreSQL.

It looks at a kept connection's socket before each request, instead of asking the server.

Connections are kept between requests. After a restart of PostgreSQL each of them is dead, and the
first request on it would fail; Django's own check finds that out by a query in every request.

And no statement has more parameters than PostgreSQL takes, however long a list is (`compiler`).
"""

import select
from collections.abc import Sequence
from typing import Any

from django.db.backends.postgresql import base, operations

MOST_PARAMETERS = 65_535


class DatabaseOperations(operations.DatabaseOperations):
    compiler_module = "annotate.postgres.compiler"

    def bulk_batch_size(self, fields: Sequence[Any], objs: Sequence[Any]) -> int:
        """How many rows one statement takes. An insert with arrays would take more."""
        return MOST_PARAMETERS // max(1, len(fields))


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def is_usable(self) -> bool:
        """Whether the server has said nothing since the last answer.

        An idle connection is silent. What comes in is the end of it: a closed socket, or the
        server's message that it is shutting down.
        """
        connection = self.connection
        if connection is None or connection.closed:
            return False
        readable, _, _ = select.select([connection.fileno()], [], [], 0)
        return not readable
