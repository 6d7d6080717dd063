"""Looks at a kept connection's socket before each request, instead of asking the server.

Connections are kept between requests. After a restart of PostgreSQL each of them is dead, and the
first request on it would fail; Django's own check finds that out by a query in every request.
"""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
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
