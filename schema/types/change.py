"""Changes and pages of them. How they are read: `schema.changes`."""

import strawberry

from schema.field import page_leaf
from schema.scalars import Cursor, DateTime
from schema.types.charge_point import Evse, ParkingSpot
from schema.types.common import ChangeAction, ChangeKind


@strawberry.type(
    description="One thing that changed, as it is now. What enters your sight, the area or the filter is told in one "
    "of the kinds asked for, what leaves it in all of them. OCHP update lists, OCPI PUT and PATCH."
)
class Change:
    kind: ChangeKind = page_leaf("kind", "What changed of it.")
    action: ChangeAction = page_leaf("action", "Whether it is there.")
    id: strawberry.ID = page_leaf("id", "EVSE-ID or Parking-ID, separated form. Keep what you hold by this id.")
    at: DateTime = page_leaf("at", "When the hub wrote the change down.")
    evse: Evse | None = page_leaf("evse", "The EVSE as it is now; null when it was removed and for other kinds.")
    parking_spot: ParkingSpot | None = page_leaf(
        "parkingSpot", "The parking spot as it is now; null when it was removed and for other kinds."
    )


@strawberry.type(description="Changes in the order in which they happened, the newest of each kind and id.")
class ChangePage:
    cursor: Cursor = page_leaf(
        "cursor", "Where to go on: everything up to there is told by this page and those before."
    )
    has_more: bool = page_leaf("hasMore", "There is more already: ask on, or wait for the next page of the stream.")
    changes: list[Change] = page_leaf(
        "changes", "What changed. May be empty: a stream that has nothing to tell renews its cursor every ten minutes."
    )
