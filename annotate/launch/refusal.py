"""The one exception of the launcher that a person is meant to read."""


class Refusal(Exception):
    """Prefloop cannot start or go on; the text is one line that says what to do."""
