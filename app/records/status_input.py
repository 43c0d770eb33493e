"""From an item of `evses` or `parkingSpots` of a status upload, as plain JSON values, to a checked status.

Items are decoded in slices, since nearly all of them are valid; only where that fails is each item decoded by itself.
Source: OCHP 1.4, live status: which minor status goes with which major one. The hub's own: an expired status is
refused, and one that is dated more than five minutes from now.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import msgspec

from app.combined_status import ALLOWED_MINORS
from app.ids import InvalidId, normalise_evse_id, normalise_parking_id
from app.records.base import Record
from app.records.status import EvseStatus, ParkingStatus
from app.uploads.batches import batches
from app.uploads.checks import Flaw, Instant, Refusal, RefusalCode, refusals, sent_id, shape_flaws, show_instant
from app.uploads.items import worth_keeping
from app.uploads.yielding import yielding
from app.vocabulary import MajorStatus, MinorStatus

#: How many items are decoded between two chances to yield to the event loop: a few milliseconds if all are refused.
AT_ONCE: Final = 100
#: How far a sender's clock may be ahead.
CLOCKS_DIFFER: Final = timedelta(minutes=5)
#: Instants beyond these are errors; databases and calendars can hold all between them.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


class EvseStatusInput(Record, frozen=True, kw_only=True):
    """One item as sent: right in shape, its id not yet normalised."""

    evse_id: str
    major: MajorStatus
    minor: MinorStatus | None = None
    ttl: Instant | None = None
    at: Instant | None = None


class ParkingStatusInput(Record, frozen=True, kw_only=True):
    """One item as sent: right in shape, its id not yet normalised."""

    parking_id: str
    status: MajorStatus
    ttl: Instant | None = None
    at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Hearing:
    """The instant at which an upload is received, and the values for all of its items."""

    now: datetime
    ttl: datetime | None = None


Sent = TypeVar("Sent", EvseStatusInput, ParkingStatusInput)
Word = TypeVar("Word", EvseStatus, ParkingStatus)


@dataclass(frozen=True)
class _Kind(Generic[Sent, Word]):
    argument: str
    id_field: str
    input: type[Sent]
    inputs: Any
    shape: msgspec.inspect.Type
    read: Callable[[Sent, Hearing], Word]


async def read_evse_statuses(raw: Sequence[Any], hearing: Hearing) -> list[EvseStatus | Refusal]:
    """Check the items of `evses`: return the status of each, or its refusals. Never raises on JSON values."""
    return await _read_all(raw, hearing, _EVSES)


async def read_parking_statuses(raw: Sequence[Any], hearing: Hearing) -> list[ParkingStatus | Refusal]:
    """Check the items of `parkingSpots`, as `read_evse_statuses` does."""
    return await _read_all(raw, hearing, _SPOTS)


async def _read_all(raw: Sequence[Any], hearing: Hearing, kind: _Kind[Sent, Word]) -> list[Word | Refusal]:
    items: list[Word | Refusal] = []
    refused = 0
    async for number, some in yielding(enumerate(batches(raw, AT_ONCE))):
        for index, sent in enumerate(_decode(some, kind), number * AT_ONCE):
            read = _read(raw[index], sent, index, hearing, kind)
            if isinstance(read, list):
                items += worth_keeping(read, refused)
                refused += len(read)
            else:
                items.append(read)
    return items


def _read(raw: Any, sent: Sent | None, index: int, hearing: Hearing, kind: _Kind[Sent, Word]) -> Word | list[Refusal]:
    try:
        if sent is not None:
            return kind.read(sent, hearing)
        wrong = shape_flaws(raw, kind.shape)
    except _Flawed as flawed:
        wrong = [flawed.flaw]
    except InvalidId as error:
        wrong = [Flaw(f".{kind.id_field}", RefusalCode.INVALID_ID, error.message)]
    return refusals(wrong, f"{kind.argument}[{index}]", index, sent_id(raw, kind.id_field))


def _decode(raw: Sequence[Any], kind: _Kind[Sent, Any]) -> Sequence[Sent | None]:
    try:
        return msgspec.convert(raw, kind.inputs)
    except ValueError:  # msgspec.ValidationError, and UnicodeEncodeError for lone surrogates
        return [_decode_one(each, kind) for each in raw]


def _decode_one(raw: Any, kind: _Kind[Sent, Any]) -> Sent | None:
    try:
        return msgspec.convert(raw, kind.input)
    except ValueError:
        return None


class _Flawed(Exception):
    """An item that stays out."""

    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw


def _evse_status(sent: EvseStatusInput, hearing: Hearing) -> EvseStatus:
    at, ttl = _instants(sent.at, sent.ttl, hearing)
    _check_pair(sent.major, sent.minor)
    return EvseStatus(normalise_evse_id(sent.evse_id), sent.major, sent.minor, ttl, at)


def _parking_status(sent: ParkingStatusInput, hearing: Hearing) -> ParkingStatus:
    at, ttl = _instants(sent.at, sent.ttl, hearing)
    return ParkingStatus(normalise_parking_id(sent.parking_id), sent.status, ttl, at)


def _check_pair(major: MajorStatus, minor: MinorStatus | None) -> None:
    """Refuse a minor status that the major one does not take."""
    if minor not in ALLOWED_MINORS[major]:
        possible = ", ".join(each or "none" for each in ALLOWED_MINORS[major])
        raise _Flawed(
            Flaw(".minor", RefusalCode.STATUS_PAIR, f"{minor} does not go with {major}; possible: {possible}")
        )


def _instants(at: datetime | None, ttl: datetime | None, hearing: Hearing) -> tuple[datetime, datetime | None]:
    """Check when a status began and when it expires; absent: now, and the ttl of the whole upload."""
    at = hearing.now if at is None else at
    wrong = at_flaw(at, hearing.now)
    if wrong is not None:
        raise _Flawed(wrong)
    if ttl is None:
        ttl = hearing.ttl
    if ttl is not None and not hearing.now < ttl < LATEST:
        expected = f"expected an instant after now, {show_instant(hearing.now)}, and before {LATEST.year}"
        raise _Flawed(Flaw(".ttl", RefusalCode.OUT_OF_RANGE, f"{show_instant(ttl)} is not possible; {expected}"))
    if ttl is not None and ttl <= at:
        raise _Flawed(
            Flaw(".ttl", RefusalCode.ORDER, f"{show_instant(ttl)} is not after the status itself, {show_instant(at)}")
        )
    return at, ttl


def at_flaw(at: datetime, now: datetime) -> Flaw | None:
    """Return the flaw of the times of a status, if there is one."""
    if EARLIEST <= at <= now + CLOCKS_DIFFER:
        return None
    latest = f"at most five minutes after now, {show_instant(now)}"
    message = f"{show_instant(at)} is not possible; expected an instant from {EARLIEST.year} on and {latest}"
    return Flaw(".at", RefusalCode.OUT_OF_RANGE, message)


_EVSES: Final = _Kind(
    "evses",
    "evseId",
    EvseStatusInput,
    list[EvseStatusInput],
    msgspec.inspect.type_info(EvseStatusInput),
    _evse_status,
)
_SPOTS: Final = _Kind(
    "parkingSpots",
    "parkingId",
    ParkingStatusInput,
    list[ParkingStatusInput],
    msgspec.inspect.type_info(ParkingStatusInput),
    _parking_status,
)
