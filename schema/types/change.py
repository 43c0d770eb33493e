"""Changes and pages of them. How they are read: `schema.changes`."""

import strawberry

from schema.field import page_leaf
from schema.scalars import Cursor, DateTime
from schema.types.charge_point import Evse, ParkingSpot
from schema.types.common import ChangeAction, ChangeKind
from schema.types.tariff import Tariff


@strawberry.type(
    description="One changed entity, in its newest state. One that becomes visible, or enters the area or the filter, "
    "comes in one of the kinds asked for, one that leaves in all of them. OCHP update lists, OCPI PUT and PATCH."
)
class Change:
    kind: ChangeKind = page_leaf("kind", "Which part of it changed.")
    action: ChangeAction = page_leaf("action", "Whether it is there.")
    id: strawberry.ID = page_leaf("id", "EVSE-ID, Parking-ID or Tariff-ID, separated form. Store entities by this id.")
    at: DateTime = page_leaf("at", "When the hub logged the change.")
    evse: Evse | None = page_leaf("evse", "The EVSE as it is now; null when it was removed and for other kinds.")
    parking_spot: ParkingSpot | None = page_leaf(
        "parkingSpot", "The parking spot as it is now; null when it was removed and for other kinds."
    )
    tariff: Tariff | None = page_leaf(
        "tariff", "The tariff as it is now for the caller; null when it was removed and for other kinds."
    )


@strawberry.type(description="Changes in the order in which they happened, the newest of each kind and id.")
class ChangePage:
    cursor: Cursor = page_leaf("cursor", "Where to continue: this page and those before have everything up to there.")
    has_more: bool = page_leaf("hasMore", "More is waiting: request the next page, or receive it from the stream.")
    changes: list[Change] = page_leaf(
        "changes", "What changed. May be empty: a stream that has nothing to tell renews its cursor every ten minutes."
    )
