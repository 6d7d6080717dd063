"""The one place that reads environment variables: strict, typed, documented.

Every field's description is a row of the README's table of settings. A variable that cannot be
used, or that could never have an effect, stops the process with one line that names it and says
what was expected. No such line shows a password or key.
"""

from annotate.environment.derived import Environment
from annotate.environment.fields import BUNDLED_MODEL, CHECKOUT, DATABASE_ROLE
from annotate.environment.made import free_port
from annotate.environment.reading import BadEnvironment, read, variables
from annotate.environment.secrecy import without_secrets

__all__ = [
    "BUNDLED_MODEL",
    "CHECKOUT",
    "DATABASE_ROLE",
    "BadEnvironment",
    "Environment",
    "free_port",
    "read",
    "variables",
    "without_secrets",
]
