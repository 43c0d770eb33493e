"""Positions in the change log, and the cursors in which clients hold them.

A position is the snapshot of the read that made it. Queries, subscriptions and lists give the same cursors and take
each other's. A cursor is opaque outside: a version byte and the sealed body, base64.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from app.db.seal import UnknownLog, learn, seal, unseal
from app.errors import BadInput, HubError

VERSION: Final = 2
PURPOSE: Final = b"cursor"
#: More than a 64-bit number needs.
MOST_VARINT_BYTES: Final = 10
#: PostgreSQL's, by far: a cursor that claims more was not made here.
MOST_RUNNING: Final = 10_000
LONGEST_PLACE: Final = 500
EPOCH_BEGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CursorExpired(HubError):
    """The log cannot be read on from there: a client has to read its list again."""

    code = "CURSOR_EXPIRED"

    def __init__(self, why: str) -> None:
        super().__init__(f"the cursor cannot be resumed from: {why}", "take a new initial state, and its cursor")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions with rows in the log a reader saw: all that ended below `xmax`, but none of `xip`."""

    xmax: int = 0
    xip: frozenset[int] = frozenset()

    def sees(self, transaction: int) -> bool:
        """Return whether rows of a committed transaction are in the snapshot."""
        return transaction < self.xmax and transaction not in self.xip

    def covers(self, other: "Snapshot") -> bool:
        """Return whether every row that another snapshot shows is in this one."""
        return other.xmax <= self.xmax and not any(other.sees(running) for running in self.xip)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands.

    `lsn`: a place in the WAL of `timeline` behind every commit in the snapshot. `floor`: the log then held no more rows
    of transactions below it; not part of a cursor.
    """

    epoch: str
    timeline: int
    lsn: int
    at: datetime
    snapshot: Snapshot
    floor: int = field(default=0, compare=False)

    @classmethod
    def of(cls, text: str) -> "Position":
        """Read what log_position() (app/db/sql/log.sql) returned, and learn the key of the log."""
        log, timeline, lsn, at, floor, xmax, running = text.split(" ")
        xip = frozenset(int(each) for each in running.split(",") if each)
        return cls(learn(log), int(timeline), int(lsn), _instant(int(at)), Snapshot(int(xmax), xip), int(floor))


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a client has: everything up to `base`, and part of what came after it.

    Without `target` and `place` there is no part. Between `base` and `target` the rows up to (`transaction`, `row`)
    were read. `place`: how far something that names many entities was read, a list or operators that came into view.
    """

    base: Position
    target: Position | None = None
    transaction: int = 0
    row: int = 0
    place: str = ""

    @property
    def is_whole(self) -> bool:
        return self.target is None and not self.place

    def within(self, place: str) -> "Cursor":
        """Return the same cursor at another place."""
        return replace(self, place=place)


def cursor_of(text: str) -> str:
    """Return the cursor of a position, as log_position() returned it."""
    return encode_cursor(Cursor(Position.of(text)))


# ---------------------------------------------------------------- to text and back


@lru_cache(maxsize=256)
def encode_cursor(cursor: Cursor) -> str:
    """Return the text of a cursor. Subscribers of one round share theirs."""
    body = bytearray()
    _write_position(body, cursor.base)
    if not cursor.is_whole:
        _write_number(body, 0 if cursor.target is None else 1)
        if cursor.target is not None:
            _write_position(body, cursor.target)
        _write_number(body, cursor.transaction)
        _write_number(body, cursor.row)
        body += cursor.place.encode()
    sealed = seal(cursor.base.epoch, bytes(body), PURPOSE)
    return urlsafe_b64encode(bytes([VERSION]) + sealed).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """Read a cursor. Whether the log can still be read from there, `app.live.log.rows.check_cursor` decides.

    Raises: UnknownLog; BadInput for a text that the hub did not make.
    """
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        return _read_cursor(raw)
    except UnknownLog:
        raise
    except (ValueError, IndexError, OverflowError):
        raise BadInput("this is not a cursor of the change log", "pass a `cursor` that the hub returned") from None


def _read_cursor(raw: bytes) -> Cursor:
    if raw[0] != VERSION:
        raise ValueError
    epoch, body = unseal(raw[1:], PURPOSE)
    numbers = _Numbers(body, 0)
    base = numbers.position(epoch)
    if numbers.at == len(body):
        return Cursor(base)
    target = numbers.position(epoch) if numbers.next() == 1 else None
    transaction, row = numbers.next(), numbers.next()
    place = body[numbers.at :].decode()
    if "\x00" in place or len(place) > LONGEST_PLACE:
        raise ValueError
    return Cursor(base, target, transaction, row, place)


def _write_position(body: bytearray, position: Position) -> None:
    running = sorted(position.snapshot.xip)
    at = (position.at - EPOCH_BEGIN) // timedelta(microseconds=1)
    for number in (position.timeline, position.lsn, at, position.snapshot.xmax, len(running)):
        _write_number(body, number)
    for number in _differences(running):
        _write_number(body, number)


def _differences(numbers: list[int]) -> Iterator[int]:
    before = 0
    for number in numbers:
        yield number - before
        before = number


def _write_number(body: bytearray, number: int) -> None:
    while number > 0x7F:
        body.append(number & 0x7F | 0x80)
        number >>= 7
    body.append(number)


@dataclass(slots=True)
class _Numbers:
    """A reader of numbers written seven bits at a time."""

    raw: bytes
    at: int

    def next(self) -> int:
        number = 0
        for place in range(MOST_VARINT_BYTES):
            byte = self.raw[self.at]
            self.at += 1
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                break
        if number >= 1 << 63:
            raise ValueError
        return number

    def position(self, epoch: str) -> Position:
        timeline, lsn, at, xmax, count = (self.next() for _ in range(5))
        if count > MOST_RUNNING:
            raise ValueError
        running: set[int] = set()
        number = 0
        for _ in range(count):
            number += self.next()
            running.add(number)
        if number >= 1 << 63:
            raise ValueError
        return Position(epoch, timeline, lsn, _instant(at), Snapshot(xmax, frozenset(running)))


def _instant(microseconds: int) -> datetime:
    return EPOCH_BEGIN + timedelta(microseconds=microseconds)
