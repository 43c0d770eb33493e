"""From one item of `parkingSpots`, as plain JSON values, to a checked parking spot or to what is wrong with it.

The limits are those of the spots in an operator's record. A spot has no EVSE of its own, so its restrictions stand for
themselves. The hub's own: a position, where the PSO gives one, is the spot's; without one it is found at its EVSEs.
"""

from itertools import islice
from typing import Any

import msgspec

from app.ids import InvalidId, normalise_parking_id, storable
from app.records.base import Point, Record
from app.records.charge_point_input import MOST_REFUSALS
from app.records.parking_spot import ParkingSpot
from app.uploads.checks import Flaw, FloorLevel, Refusal, RefusalCode, SpotNumber, flaws, is_object
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
    if sent is None:
        wrong = list(islice(flaws(raw, _SHAPE), MOST_REFUSALS))
        return _refusals(wrong or [_UNKNOWN_FLAW], raw, index)
    try:
        return _parking_spot(sent)
    except InvalidId as error:
        return _refusals([Flaw(".parkingId", RefusalCode.INVALID_ID, error.message)], raw, index)


_UNKNOWN_FLAW = Flaw("", RefusalCode.WRONG_TYPE, "the item does not have the shape of ParkingSpotInput")


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


def _refusals(wrong: list[Flaw], raw: Any, index: int) -> list[Refusal]:
    sent_id = raw.get("parkingId") if is_object(raw) else None
    parking_id = storable(sent_id, 64) if isinstance(sent_id, str) else None
    return [
        Refusal(
            path=f"parkingSpots[{index}]{flaw.path}", index=index, id=parking_id, code=flaw.code, message=flaw.message
        )
        for flaw in wrong
    ]
