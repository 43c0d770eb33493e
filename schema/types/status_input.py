"""What operators and parking spot operators say now: the input types that introspection and editors show.

The items themselves are read by `app.records.status_input`.
"""

import strawberry

from schema.scalars import DateTime, EvseId, ParkingId
from schema.types.charge_point_input import required
from schema.types.inputs import option
from schema.types.live import MajorStatus, MinorStatus


@strawberry.input(description="Live status of an EVSE. OCHP evseStatus, OCPI EVSE status.")
class EvseStatusInput:
    evse_id: EvseId = required("One of your EVSEs, in any spelling.")
    major: MajorStatus = required("Whether a charging process can start.")
    minor: MinorStatus | None = option(
        "Why, or for whom. With AVAILABLE: AVAILABLE or RESERVED; with NOT_AVAILABLE: any other; with UNKNOWN: none."
    )
    ttl: DateTime | None = option(
        "The instant from which on the status is UNKNOWN, after now. Absent: the request's; without any the hub takes "
        "the status for out of date in its own time (a day from `at`, if not set otherwise)."
    )
    at: DateTime | None = option(
        "Since when it is so, by your clock, from 2000 on and at most five minutes ahead; absent: now. "
        "What is older than what the hub knows changes nothing."
    )


@strawberry.input(description="Occupancy of a parking spot. OCHP parkingStatus.")
class ParkingStatusInput:
    parking_id: ParkingId = required("One of your spots or, for operators, one that your EVSEs link; in any spelling.")
    status: MajorStatus = required("NOT_AVAILABLE: the spot is occupied.")
    ttl: DateTime | None = option("The instant from which on the status is UNKNOWN, as for EVSEs.")
    at: DateTime | None = option(
        "Since when it is so, by your clock, as for EVSEs; not compared between operators and parking spot operators."
    )
