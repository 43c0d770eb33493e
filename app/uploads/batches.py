"""Long sequences in pieces, so that no statement is long."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield pieces of a sequence, each of `size` items but the last."""
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
