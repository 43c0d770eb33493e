"""The one error that crosses rooms; concrete errors live beside the code that raises them."""


class HubError(Exception):
    """Say what a caller did wrong, in words that also say what is possible.

    `code` is stable and documented in the README; `message` holds the values; `hint` says what to do next;
    `retry_after_s` when to come back, in whole seconds, where that helps.
    """

    code = "SERVER"
    retry_after_s: int | None = None

    def __init__(self, message: str, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class Forbidden(HubError):
    """The caller's role may not do this."""

    code = "FORBIDDEN"


class Unauthenticated(HubError):
    """No key, or none that is valid now."""

    code = "UNAUTHENTICATED"


class BadInput(HubError):
    """An argument cannot be understood."""

    code = "BAD_INPUT"


class NotFound(HubError):
    """Not there, or not the caller's to see; the two are never told apart."""

    code = "NOT_FOUND"
