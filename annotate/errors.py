"""What a service refuses with: a sentence for people and a code for programs."""

from typing import ClassVar


class Refusal(Exception):
    """A request that the domain does not allow.

    `message` says what to do next; `retry` whether the same request may succeed later; `fields`
    names the inputs at fault; `facts` are further machine-readable members of the error body.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry: bool = False,
        fields: dict[str, list[str]] | None = None,
        **facts: int | str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = code or self.code
        self.retry = retry
        self.fields = fields or {}
        self.facts = facts


class Invalid(Refusal):
    code = "invalid"


class Forbidden(Refusal):
    code = "forbidden"
    status = 403


class NotFound(Refusal):
    code = "not_found"
    status = 404

    def __init__(self, message: str = "There is nothing here that you have access to.") -> None:
        super().__init__(message)


class Conflict(Refusal):
    code = "conflict"
    status = 409


class OtherSession(Conflict):
    """Somebody else is signed in by now than the person whose request this is."""

    code = "other_session"


class ClaimLost(Conflict):
    code = "claim_lost"


class AlreadyRanked(Conflict):
    code = "already_ranked"


class RoundClosed(Conflict):
    code = "round_closed"


class TooLarge(Refusal):
    code = "too_large"
    status = 413

    def __init__(self, largest: int) -> None:
        limit = f"{largest // 2**20} MB" if largest >= 2**20 else f"{largest // 2**10} kB"
        super().__init__(
            f"This is too much at once ({limit} at most). Send it in parts, or as a file."
        )


class Busy(Refusal):
    """The machine does something of the kind already; nobody waits for it with a place in hand."""

    code = "busy"
    status = 503

    def __init__(self, message: str) -> None:
        super().__init__(message, retry=True)
