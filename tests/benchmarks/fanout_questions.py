"""What is followed: so many areas with so many subscribers each, and what a change looks like."""

from typing import Any

AREAS = 10
SUBSCRIBERS = 100

EVSE = "evse { evseId operator { partyId name } position { latitude longitude } status { major minor } }"
PAGE = f"{{ cursor hasMore changes {{ kind action id {EVSE} }} }}"
#: Of the hub, and of Strawberry's own.
HUBS = f"subscription ($within: AreaInput) {{ changes(within: $within, kinds: [EVSE_STATUS]) {PAGE} }}"
STRAWBERRYS = f"subscription ($area: Int!) {{ changes(area: $area) {PAGE} }}"


def place_of(area: int) -> tuple[float, float]:
    """Return longitude and latitude of an area's centre, north of the register that is imported too."""
    return 5.0 + area, 60.0


def variables_of(area: int) -> dict[str, Any]:
    longitude, latitude = place_of(area)
    return {"within": {"near": {"longitude": longitude, "latitude": latitude, "radiusM": 10_000}}}


def change_of(area: int, number: int) -> Any:
    """Return a change as the baselines without a database show it."""
    longitude, latitude = place_of(area)
    id_ = f"DE*8AC*E{area}*{number % 1000:04}"
    evse = {
        "evseId": id_,
        "operator": {"partyId": "DE8AC", "name": "Operator DE8AC"},
        "position": {"latitude": latitude, "longitude": longitude},
        "status": {"major": "AVAILABLE", "minor": None},
    }
    return {"kind": "EVSE_STATUS", "action": "UPSERTED", "id": id_, "evse": evse}


def page_of(changes: list[Any]) -> Any:
    return {"data": {"changes": {"cursor": "c" * 40, "hasMore": False, "changes": changes}}}
