"""How much goes into one transaction: as much as takes a tenth of a second, on this machine, now.

Readers of the change log see nothing newer than the oldest transaction that is still writing, so none may be long.
"""

import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from app.db.engine import Connection, Session

T = TypeVar("T")

TARGET_S: Final = 0.1
LEAST: Final = 20
MOST: Final = 2_000


@dataclass(slots=True)
class Pace:
    """The number of rows to write next."""

    rows: int = 200

    def __post_init__(self) -> None:
        self.rows = min(self.rows, MOST)

    @contextmanager
    def timing(self, rows: int) -> Generator[None]:
        """Time a transaction over so many rows, and learn from it."""
        began = time.monotonic()
        yield
        if rows:
            fitting = int(rows * TARGET_S / max(time.monotonic() - began, 1e-6))
            # Half way, because one slow moment says little; never more than twice, because the next rows may be wide.
            self.rows = max(LEAST, min(MOST, (self.rows + min(fitting, 2 * self.rows)) // 2))

    def slices(self, items: Sequence[T], group: Callable[[T], Any] | None = None) -> Iterator[Sequence[T]]:
        """Cut a list into pieces of the size that fits when each is taken.

        What is of one `group` stays together, unless it alone would take several transactions.
        """
        begin = 0
        while begin < len(items):
            end = longest = min(begin + self.rows, len(items))
            if group is not None:
                longest = min(end + 2 * self.rows, len(items))
                while end < longest and group(items[end]) == group(items[end - 1]):
                    end += 1
            yield items[begin:end]
            begin = end


async def in_pieces(
    session: Session, items: Sequence[T], work: Callable[[Connection, Sequence[T]], Awaitable[None]]
) -> None:
    """Do something with a list, each piece in a transaction of its own."""
    pace = Pace()
    for piece in pace.slices(items):
        with pace.timing(len(piece)):
            await session.write(lambda connection, piece=piece: work(connection, piece))


async def walk(
    session: Session,
    after: str,
    next_: Callable[[str, int], Awaitable[str | None]],
    step: Callable[[Connection, str, str], Awaitable[None]],
) -> None:
    """Do something with all ids behind one, each stretch in a transaction of its own.

    `next_` gives the id up to which the next so many go, None when there is none; `step` does it: behind one id, up to
    another.
    """
    pace = Pace()
    while (to := await next_(after, pace.rows)) is not None:
        with pace.timing(pace.rows):
            await session.write(lambda connection, after=after, to=to: step(connection, after, to))
        after = to
