"""Live status as readers see it, counted and as it was."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import ColumnElement, FromClause

from app.db.tables import evse, status_history
from app.read.live import COUNTED_COLUMNS, TO_SPOT_STATUS, availability
from app.read.locations import KEY, of_location
from app.read.parking import TO_PUBLISHED
from app.read.plan import Arguments, ToMany, Via
from app.read.usable import Instant
from app.vocabulary import ConnectorStandard, MajorStatus, MinorStatus
from schema.field import column, counted, documents, to_many_where
from schema.scalars import DateTime
from schema.types.common import vocabulary

#: Of the changes that a history holds, at most so many are shown: the last.
HISTORY_SHOWN = 1_000

vocabulary(
    MajorStatus,
    "Whether it can be used now. OCHP major; OCPI status: NOT_AVAILABLE is CHARGING, BLOCKED, RESERVED, OUTOFORDER or "
    "INOPERATIVE there.",
)
vocabulary(
    MinorStatus,
    "Why, or what comes next: AVAILABLE and RESERVED (ahead) with AVAILABLE; CHARGING, BLOCKED (the spot is taken by "
    "something that does not charge), RESERVED, OUT_OF_ORDER with NOT_AVAILABLE. OCHP minor.",
)


@strawberry.type(description="The present status of an EVSE. OCHP live status; OCPI EVSE status, which has no ttl.")
class LiveStatus:
    major: MajorStatus = column(
        description="Whether it can be used; UNKNOWN without a status, or when the ttl has passed."
    )
    minor: MinorStatus | None = column(description="The cause, or what comes next; null: not sent.")
    ttl: DateTime | None = column(
        description="Until when this is valid: from then on the status is UNKNOWN, and a change is published. Null: "
        "the sender gave none, and the status expires after a day."
    )
    updated_at: DateTime | None = column(description="When the status last changed or expired; null: there was none.")


@strawberry.type(description="A change of state in the past.")
class StatusChange:
    at: DateTime = column(description="When it happened, by the sender's clock.")
    major: MajorStatus = column(description="Whether the EVSE could be used from then on.")
    minor: MinorStatus | None = column(description="Why, or what came next; null: not said.")


@strawberry.type(description="How many EVSEs with such a connector are in which state.")
class ConnectorAvailability:
    standard: ConnectorStandard = column(description="Kind of connector.")
    maximum_power_kw: float | None = column(
        "maximumPowerKw", description="Maximum power of the EVSEs, kW; null: unknown."
    )
    total: int = column(description="EVSEs that have it.")
    available: int = column(description="Those that are available.")
    out_of_order: int = column("outOfOrder", description="Those that are out of order.")
    unknown: int = column(description="Those nothing is known of.")


@strawberry.type(
    description="The EVSEs of a location, counted on combinedStatus: total = available + charging + blocked + reserved "
    "+ outOfOrder + notAvailable + unknown."
)
class Availability:
    total: int = column(description="All EVSEs.")
    available: int = column(description="Available.")
    charging: int = column(description="Not available: a car charges.")
    blocked: int = column(description="Not available: the spot is taken by something that does not charge.")
    reserved: int = column(description="Not available: reserved.")
    out_of_order: int = column("outOfOrder", description="Not available: out of order.")
    not_available: int = column("notAvailable", description="Not available, without a cause.")
    unknown: int = column(description="No status, or an expired one.")
    updated_at: DateTime | None = column(
        "updatedAt", description="The newest of their updatedAt; null: there was no status."
    )
    by_connector: list[ConnectorAvailability] = documents(
        "byConnector", "Counted for each connector standard and maximum power; an EVSE counts once for each it has."
    )


def availability_of_location() -> Any:
    evses = ToMany(evse, KEY, of_location, ("evse_id",), visible_with_parent=True)
    return counted(evses, COUNTED_COLUMNS, availability, "Its EVSEs, counted by their present state.")


# ---------------------------------------------------------------- parking spots


def newest(updated_at: Any, status_updated_at: Any) -> Any:
    """Return the later of two instants of which either may be null."""
    known = [each for each in (updated_at, status_updated_at) if each is not None]
    return max(known, default=None)


def known_status(status: str | None) -> str:
    return MajorStatus.UNKNOWN.value if status is None else status


def spot_status() -> Any:
    return column(
        Via(TO_SPOT_STATUS, "status"),
        shape=known_status,
        sees_null=True,
        description="AVAILABLE: free; NOT_AVAILABLE: taken; UNKNOWN: no status, or its ttl has passed. Its PSO's, if "
        "you may see what that publishes of it, else the newest of the operators that link it and that you see.",
    )


def spot_ttl() -> Any:
    return column(
        Via(TO_SPOT_STATUS, "ttl"),
        description="Until when the status holds; null: the sender gave none, and it expires after a day.",
    )


def spot_updated_at() -> Any:
    return column(
        Via(TO_PUBLISHED, "updated_at"),
        Via(TO_SPOT_STATUS, "status_updated_at"),
        shape=newest,
        sees_null=True,
        description="When its record or its status last changed; null: you see neither.",
    )


# ---------------------------------------------------------------- history


def bind_period(arguments: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Bind a period that ends now where no end is given: a sender's clock may be ahead."""
    to = arguments.get("to")
    return {"from": arguments["from"], "to": now if to is None else to}


def in_period(changes: FromClause, given: Arguments) -> list[ColumnElement[bool]]:
    return [changes.c.at >= given("from", Instant), changes.c.at < given("to", Instant)]


def of_evse(changes: FromClause, evse_id: ColumnElement[Any]) -> ColumnElement[bool]:
    return changes.c.evse_id == evse_id


@to_many_where(
    status_history,
    parent_columns=("evse_id",),
    on=of_evse,
    order=("at", "recorded_at"),
    where=in_period,
    bind=bind_period,
    visible_with_parent=True,
    most=HISTORY_SHOWN,
    description="Its changes of state in a period, oldest first; of more than 1000 the last. Kept for some months.",
)
def status_history_of(
    self: Any,
    from_: Annotated[DateTime, strawberry.argument(name="from", description="First instant inside.")],
    to: Annotated[DateTime | None, strawberry.argument(description="First instant outside; absent: now.")] = None,
) -> list[StatusChange]: ...
