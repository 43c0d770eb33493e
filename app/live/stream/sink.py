"""Between the stream, which makes pages of changes, and the transports, which write them: neither waits for the other.

A page is made only while the sink is ready; meanwhile the newest state of each id is kept, within bounds.
"""

from typing import Any, Protocol


class Sink(Protocol):
    """Where the pages of one subscription go; a transport has one for each."""

    #: False while earlier pages wait to be written. The transport calls `Subscription.resume` when it is true again.
    ready: bool

    def page(self, result: str) -> None:
        """Write a GraphQL result, as the text of a JSON object, as soon as possible."""

    def fail(self, errors: list[dict[str, Any]]) -> None:
        """End the subscription with GraphQL errors."""

    def complete(self) -> None:
        """End the subscription: there will be no more pages."""


class Subscription(Protocol):
    """A running subscription, as its transport sees it. `weight`: as how many it counts."""

    @property
    def weight(self) -> int: ...

    def resume(self) -> None:
        """Go on: the sink is ready again."""

    def close(self) -> None:
        """Stop at once; nothing more is written to the sink."""
