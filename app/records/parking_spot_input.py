"""From one item of `parkingSpots`, as plain JSON values, to a checked parking spot or to what is wrong with it.

The limits are those of the spots in an operator's record. A spot has no EVSE of its own, so its restrictions stand for
themselves. The hub's own: a position, where the PSO gives one, is the spot's; without one it is found at its EVSEs.
"""

from typing import Any

import msgspec

from app.ids import InvalidId, normalise_parking_id
from app.records.base import Point, Record
from app.records.parking_spot import ParkingSpot
from app.uploads.checks import (
    Flaw,
    FloorLevel,
    Refusal,
    RefusalCode,
    SpotNumber,
    is_object,
    refusals,
    sent_id,
    shape_flaws,
)
from app.vocabulary import Restriction


class ParkingSpotInput(Record, frozen=True, kw_only=True):
    """One item as sent: right in shape, its id not yet normalised."""

    parking_id: str
    position: Point | None = None
    restrictions: tuple[Restriction, ...] = ()
    floor_level: FloorLevel | None = None
    number: SpotNumber | None = None


_SHAPE = msgspec.inspect.type_info(ParkingSpotInput)


def read_parking_spot(raw: Any, index: int) -> ParkingSpot | list[Refusal]:
    """Check one item and give the spot, or every refusal (at least one). Never raises on a JSON value."""
    sent = _decode(raw)
    try:
        if sent is not None:
            return _parking_spot(sent)
        wrong = shape_flaws(raw, _SHAPE)
    except InvalidId as error:
        wrong = [Flaw(".parkingId", RefusalCode.INVALID_ID, error.message)]
    return refusals(wrong, f"parkingSpots[{index}]", index, sent_id(raw, "parkingId"))


def _parking_spot(sent: ParkingSpotInput) -> ParkingSpot:
    return ParkingSpot(
        parking_id=normalise_parking_id(sent.parking_id),
        position=sent.position,
        restrictions=tuple(dict.fromkeys(sent.restrictions)),
        floor_level=sent.floor_level,
        number=sent.number,
    )


def _decode(raw: Any) -> ParkingSpotInput | None:
    """Decode an item; once more without its nulls, which GraphQL lets stand for absent."""
    present = {name: value for name, value in raw.items() if value is not None} if is_object(raw) else raw
    try:
        return msgspec.convert(present, ParkingSpotInput)
    except ValueError:  # msgspec.ValidationError, and UnicodeEncodeError for lone surrogates
        return None
