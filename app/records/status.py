"""Live status of an EVSE or of a parking spot."""

from datetime import datetime
from typing import NamedTuple

from app.vocabulary import MajorStatus, MinorStatus


class EvseStatus(NamedTuple):
    """The status of an EVSE. `at`: since when, by the sender's clock; `ttl`: until when; None: not sent."""

    evse_id: str
    major: MajorStatus
    minor: MinorStatus | None
    ttl: datetime | None
    at: datetime


class ParkingStatus(NamedTuple):
    """The status of a parking spot, as an `EvseStatus` is of an EVSE."""

    parking_id: str
    status: MajorStatus
    ttl: datetime | None
    at: datetime
