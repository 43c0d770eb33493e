"""A parking spot as its operator publishes it."""

from app.records.base import Point, Record
from app.uploads.checks import FloorLevel, SpotNumber
from app.vocabulary import Restriction


class ParkingSpot(Record, frozen=True, kw_only=True):
    """A spot as its PSO publishes it. `parking_id` is normalised; `position` None: where its EVSEs are."""

    parking_id: str
    position: Point | None = None
    restrictions: tuple[Restriction, ...] = ()
    floor_level: FloorLevel | None = None
    number: SpotNumber | None = None
