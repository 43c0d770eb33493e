"""Between those who make pages of changes and those who write them to a socket: neither waits for the other.

A page is made only while the outlet is ready; meanwhile the newest state of each id is kept, within bounds.
"""

from typing import Any, Protocol


class Outlet(Protocol):
    """Where the pages of one subscription go; a transport gives one for each."""

    #: False while earlier pages wait to be written. The transport calls `Subscription.resume` when it is true again.
    ready: bool

    def page(self, result: str) -> None:
        """Write a GraphQL result, as the text of a JSON object, as soon as may be."""

    def fail(self, errors: list[dict[str, Any]]) -> None:
        """End the subscription with GraphQL errors."""

    def complete(self) -> None:
        """End the subscription: there will be no more pages."""


class Subscription(Protocol):
    """A subscription that runs, as its transport sees it."""

    def resume(self) -> None:
        """Go on: the outlet is ready again."""

    def close(self) -> None:
        """Stop at once; the outlet hears nothing more."""
