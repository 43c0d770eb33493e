"""Keyset cursors: a cursor is the place of a row in its list's order, so rows that come and go shift no page.

Opaque outside; inside the order's values, base64 of JSON, preceded by the order's name so that a cursor of one list is
refused by another.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from app.db.seal import UnknownLog, learn, name_of, seal, unseal
from app.errors import HubError

MAXIMUM_FIRST = 500
PURPOSE = b"page"


class BadCursor(HubError):
    """`after` is not a cursor of this list."""

    code = "BAD_CURSOR"


class BadPageSize(HubError):
    """`first` is outside of the possible page sizes."""

    code = "BAD_PAGE_SIZE"


def check_first(first: int, maximum: int = MAXIMUM_FIRST) -> int:
    """Return `first` if it lies within 1 and `maximum`. Raises: BadPageSize."""
    if not 1 <= first <= maximum:
        raise BadPageSize(f"first is {first}; possible: 1 to {maximum}")
    return first


def encode_cursor(order: str, *values: Any, position: str | None = None) -> str:
    """Return the cursor of a row whose order columns have these values.

    `position`: of the first page in the change log, which its other pages go on with.
    """
    named = [order, *values] if position is None else [order, *values, _sealed(position)]
    return urlsafe_b64encode(orjson.dumps(named, default=str)).decode().rstrip("=")


def decode_cursor(cursor: str, order: str, types: Sequence[type]) -> tuple[list[Any], str | None]:
    """Return the values in a cursor and the position of the first page.

    Raises: BadCursor for one of another order; UnknownLog.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        name, *values = orjson.loads(urlsafe_b64decode(padded))
        position = _position(values.pop()) if len(values) == len(types) + 1 else None
        if name == order and len(values) == len(types):
            return [_restore(value, type_) for value, type_ in zip(values, types, strict=True)], position
    except UnknownLog:
        raise
    except (ValueError, TypeError, OverflowError):
        pass
    raise BadCursor(
        "`after` is not a cursor of this list in this order", "pass an `endCursor` that the same query returned"
    )


def _sealed(position: str) -> str:
    """Seal what log_position() (app/db/sql/log.sql) returned: it counts transactions of all partners."""
    log, _, rest = position.partition(" ")
    return urlsafe_b64encode(seal(learn(log), rest.encode(), PURPOSE)).decode()


#: A price, or that there is none.
RANK = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?|Infinity", re.ASCII)


def _position(value: Any) -> str:
    epoch, rest = unseal(urlsafe_b64decode(value), PURPOSE)
    return f"{name_of(epoch)} {rest.decode()}"


def _restore(value: Any, type_: type) -> Any:
    if type_ is datetime:
        return _instant(datetime.fromisoformat(value))
    if type_ is UUID and isinstance(value, str):
        return UUID(value)
    if type_ is Decimal and isinstance(value, str) and RANK.fullmatch(value):
        return Decimal(value)
    if type_ is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type_ or not _storable(value):
        raise ValueError
    return value


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError
    return value.astimezone(UTC)  # may overflow, here rather than in the driver


def _storable(value: Any) -> bool:
    """Return whether PostgreSQL could hold such a text or number at all."""
    if isinstance(value, str):
        return "\x00" not in value
    return not isinstance(value, int) or abs(value) < 1 << 63


def page_info(
    order: str, places: Sequence[Sequence[Any]], more: bool, after: str | None, position: str | None
) -> Mapping[str, Any]:
    """Return the four Relay values for a page of rows whose places these are, and its position in the change log."""
    return {
        "hasNextPage": more,
        "hasPreviousPage": after is not None,
        "startCursor": encode_cursor(order, *places[0], position=position) if places else None,
        "endCursor": encode_cursor(order, *places[-1], position=position) if places else None,
        "position": position,
    }
