"""What operators and parking spot operators upload, in the words of the API."""

from typing import Final

from app.ids import normalise_evse_id, normalise_parking_id, separated_evse_id, separated_parking_id
from app.records.charge_point import ChargePoint
from app.records.parking_spot import ParkingSpot
from app.records.status import EvseStatus, ParkingStatus
from app.uploads.items import Noun

CHARGE_POINTS: Final = Noun[ChargePoint](
    argument="chargePoints",
    id_field="evseId",
    id_argument="evseIds",
    id_name="an EVSE-ID",
    name="charge point",
    id_of=lambda record: record.evse_id,
    normalise=normalise_evse_id,
    separated=separated_evse_id,
)

EVSE_STATUSES: Final = Noun[EvseStatus](
    argument="evses",
    id_field="evseId",
    id_argument="evses",
    id_name="an EVSE-ID",
    name="charge point",
    id_of=lambda record: record.evse_id,
    normalise=normalise_evse_id,
    separated=separated_evse_id,
)

PARKING_STATUSES: Final = Noun[ParkingStatus](
    argument="parkingSpots",
    id_field="parkingId",
    id_argument="parkingSpots",
    id_name="a Parking-ID",
    name="parking spot",
    id_of=lambda record: record.parking_id,
    normalise=normalise_parking_id,
    separated=separated_parking_id,
)

PARKING_SPOTS: Final = Noun[ParkingSpot](
    argument="parkingSpots",
    id_field="parkingId",
    id_argument="parkingIds",
    id_name="a Parking-ID",
    name="parking spot",
    id_of=lambda record: record.parking_id,
    normalise=normalise_parking_id,
    separated=separated_parking_id,
)
