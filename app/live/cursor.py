"""Where a reader of the change log stands, and the text in which that is given out.

A cursor is opaque outside; inside it is base64 of JSON: the log's epoch, then the position. Queries, subscriptions and
lists give the same ones and take each other's.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, cast

import orjson

from app.errors import BadInput, HubError

LARGEST = (1 << 63) - 1


class CursorExpired(HubError):
    """The change log cannot be continued from this cursor without loss."""

    code = "CURSOR_EXPIRED"

    def __init__(self, why: str) -> None:
        super().__init__(f"the cursor cannot be resumed from: {why}", "take a new initial state, and its cursor")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two rows of the log: everything up to it was read.

    `transaction`, `row`: the number of the last row that was read; `row` 0: nothing of that transaction was.
    `entity`: of the row that comes next, which stands for many entities, those up to this one were read.
    """

    transaction: int
    row: int = 0
    entity: str = ""


def encode_cursor(epoch: str, position: Position) -> str:
    """Give the cursor of a position in the log of this epoch."""
    values = [epoch, position.transaction, position.row, position.entity]
    return urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def decode_cursor(text: str, epoch: str) -> Position:
    """Give the position that a cursor stands for. Whether the log still goes back so far, `read_log` says.

    Raises: BadInput for what never was a cursor; CursorExpired for one of another epoch.
    """
    try:
        values: Any = orjson.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        of_epoch, position = _read(values)
    except (ValueError, TypeError):
        raise BadInput("this is not a cursor of the change log", "pass a `cursor` that the hub returned") from None
    if of_epoch != epoch:
        raise CursorExpired("it is from another log, which was restored, copied or replaced since")
    return position


def _read(values: Any) -> tuple[str, Position]:
    if not isinstance(values, list):
        raise TypeError
    epoch, transaction, row, entity = cast(list[Any], values)
    if not (isinstance(epoch, str) and isinstance(entity, str) and _is_number(transaction) and _is_number(row)):
        raise TypeError
    if "\x00" in entity:
        raise ValueError
    return epoch, Position(transaction, row, entity)


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST
