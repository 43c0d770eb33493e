"""The one error that crosses rooms; concrete errors live beside the code that raises them."""


class HubError(Exception):
    """An error of a request, an upload or a command, whose message says what happened and what is possible.

    `code` is stable and documented in `app/guides/errors.md`; `message` holds the values; `hint` says what to do next;
    `retry_after_s` when to come back, in whole seconds, where that helps.
    """

    code = "SERVER"
    retry_after_s: int | None = None

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Forbidden(HubError):
    """The role of the caller may not do this."""

    code = "FORBIDDEN"


class Unauthenticated(HubError):
    """A key is missing, unknown, expired or revoked, or its partner is suspended."""

    code = "UNAUTHENTICATED"


class BadInput(HubError):
    """An argument has a value that is not possible."""

    code = "BAD_INPUT"


class NotFound(HubError):
    """It does not exist or is not visible to the caller; both have the same answer."""

    code = "NOT_FOUND"
