"""What readers see of live status at an instant: after its ttl a status is UNKNOWN, and taken spots block an EVSE.

Combined (*hub*): an available EVSE all of whose spots are taken is NOT_AVAILABLE, BLOCKED, until the earliest ttl
involved; `evse_status.blocked_until` says until when they are all taken. Every other EVSE keeps its own status.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Subquery,
    and_,
    bindparam,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import array

from app.db.tables import evse_status, parking_spot, parking_status
from app.read.plan import ToOne, Via
from app.read.usable import USABLE_COLUMNS, Instant, surely_usable, usable
from app.visibility.rules import SPOT_STATUS as SPOT_STATUS_NAME
from app.vocabulary import ConnectorStandard, MajorStatus, MinorStatus

Value = ColumnElement[Any]

#: The instant of the request; `app.read.execute` fills it.
NOW: Value = bindparam("now", type_=Instant)
ZERO: Value = literal_column("0")
ONE: Value = literal_column("1")


def word(value: str) -> Value:
    """Write one of our own words out, so that it is no parameter."""
    return literal_column(f"'{value}'")


def _alive(status: FromClause) -> Value:
    return status.c.expires_at > NOW


def _blocked(status: FromClause) -> Value:
    taken = and_(status.c.major == word(MajorStatus.AVAILABLE), status.c.blocked_until > NOW)
    return and_(_alive(status), taken)


def _changed_at(status: FromClause) -> Value:
    """Return when a reader last saw something new: the word, or its running out."""
    return case((_alive(status), status.c.updated_at), else_=status.c.expires_at)


def _own_status() -> Subquery:
    s = evse_status
    return select(
        s.c.evse_id,
        case((_alive(s), s.c.major), else_=word(MajorStatus.UNKNOWN)).label("major"),
        case((_alive(s), s.c.minor)).label("minor"),
        case((_alive(s), s.c.ttl)).label("ttl"),
        _changed_at(s).label("updated_at"),
    ).subquery("own_status")


def _combined_status() -> Subquery:
    s = evse_status
    blocked, alive = _blocked(s), _alive(s)
    return select(
        s.c.evse_id,
        case((blocked, word(MajorStatus.NOT_AVAILABLE)), (alive, s.c.major), else_=word(MajorStatus.UNKNOWN)).label(
            "major"
        ),
        case((blocked, word(MinorStatus.BLOCKED)), (alive, s.c.minor)).label("minor"),
        case((blocked, func.least(s.c.ttl, s.c.blocked_until)), (alive, s.c.ttl)).label("ttl"),
        _changed_at(s).label("updated_at"),
    ).subquery("combined_status")


def _spot_status() -> Subquery:
    """Select all statuses of spots; the rule of visibility shows one of each spot: the highest `rank` that is seen.

    One that says something counts before one that does not or expired, the PSO's before operators', then the newest.
    """
    s, spot = parking_status, parking_spot
    by_pso = s.c.said_by == ZERO
    says = and_(_alive(s), s.c.status != word(MajorStatus.UNKNOWN))
    return (
        select(
            s.c.parking_id,
            spot.c.party_id,
            by_pso.label("by_pso"),
            case((by_pso, spot.c.contracted_nos), else_=array([s.c.said_by])).label("operator_nos"),
            func.row(func.coalesce(says, false()), by_pso, s.c.updated_at, s.c.said_by).label("rank"),
            case((_alive(s), s.c.status), else_=word(MajorStatus.UNKNOWN)).label("status"),
            case((_alive(s), s.c.ttl)).label("ttl"),
            _changed_at(s).label("status_updated_at"),
        )
        .join_from(s, spot, spot.c.parking_id == s.c.parking_id)
        .where(s.c.at.is_not(None))
        .subquery(SPOT_STATUS_NAME)
    )


#: Rows by `evse_id`, `parking_id`: as a reader sees them now. Each EVSE has one.
OWN_STATUS = _own_status()
COMBINED_STATUS = _combined_status()
SPOT_STATUS = _spot_status()


def available(status: FromClause) -> Value:
    """Return whether the combined status is available."""
    free = or_(status.c.blocked_until.is_(None), status.c.blocked_until <= NOW)
    return and_(status.c.major == word(MajorStatus.AVAILABLE), _alive(status), free)


def available_now(evses: FromClause) -> Value:
    """Filters A to F now: usable, and the combined status is available. Unknown is not.

    The status is looked up for each row that passes all else, but before the opening hours, which most pass. Without
    the offset, which is none, the planner might make a join of it and read all statuses.
    """
    status = select(ONE).where(evse_status.c.evse_id == evses.c.evse_id, available(evse_status)).offset(ZERO)
    return surely_usable([evses.c[name] for name in USABLE_COLUMNS], NOW, status.correlate(evses).exists())


def usable_now(*values: Value) -> Value:
    """Return filters A to F: null where A to E are unknown and the status does not rule it out."""
    *columns, major = values
    return and_(usable(columns, NOW), major == word(MajorStatus.AVAILABLE))


# ---------------------------------------------------------------- joined

#: From an EVSE to its status, which is inserted with it and seen with it; and from a spot to the status that counts for
#: the caller, if there is one.
TO_OWN_STATUS = ToOne(OWN_STATUS, ("evse_id",), ("evse_id",), visible_with_parent=True)
TO_COMBINED_STATUS = ToOne(COMBINED_STATUS, ("evse_id",), ("evse_id",), visible_with_parent=True)
TO_SPOT_STATUS = ToOne(SPOT_STATUS, ("parking_id",), ("parking_id",), optional=True)


# ---------------------------------------------------------------- counted

#: What an availability counts: by major and minor.
COUNTED: Mapping[tuple[str, str | None], str] = {
    (MajorStatus.AVAILABLE, None): "available",
    (MajorStatus.AVAILABLE, MinorStatus.AVAILABLE): "available",
    (MajorStatus.AVAILABLE, MinorStatus.RESERVED): "available",
    (MajorStatus.NOT_AVAILABLE, None): "notAvailable",
    (MajorStatus.NOT_AVAILABLE, MinorStatus.CHARGING): "charging",
    (MajorStatus.NOT_AVAILABLE, MinorStatus.BLOCKED): "blocked",
    (MajorStatus.NOT_AVAILABLE, MinorStatus.RESERVED): "reserved",
    (MajorStatus.NOT_AVAILABLE, MinorStatus.OUT_OF_ORDER): "outOfOrder",
    (MajorStatus.UNKNOWN, None): "unknown",
}

#: Of each EVSE, in the order in which `availability` takes them.
COUNTED_COLUMNS = (
    Via(TO_COMBINED_STATUS, "major"),
    Via(TO_COMBINED_STATUS, "minor"),
    Via(TO_COMBINED_STATUS, "updated_at"),
    "connector_standards",
    "maximum_power_kw",
)

Counts = dict[str, Any]
PLACE = {standard.value: place for place, standard in enumerate(ConnectorStandard)}


def availability(evses: Sequence[Sequence[Any]]) -> Counts:
    """Count EVSEs by their combined status, all together and for each standard and power they have."""
    counts: Counts = {"total": 0} | dict.fromkeys(COUNTED.values(), 0)
    connectors: dict[tuple[str, float | None], Counts] = {}
    for major, minor, _, standards, power_kw in evses:
        word_counted = COUNTED[major, minor]
        _add(counts, word_counted)
        # An EVSE with two connectors of a kind is one EVSE.
        for standard in set(standards):
            _add(connectors.setdefault((standard, power_kw), _nothing(standard, power_kw)), word_counted)
    # Without the Z, which would sort behind fractions of a second.
    updates = sorted((each[2] for each in evses if each[2] is not None), key=lambda text: text.rstrip("Z"))
    counts["updatedAt"] = updates[-1] if updates else None
    counts["byConnector"] = [connectors[kind] for kind in sorted(connectors, key=_place)]
    return counts


def _add(counts: Counts, counted: str) -> None:
    counts["total"] += 1
    counts[counted] = counts.get(counted, 0) + 1


def _nothing(standard: str, power_kw: float | None) -> Counts:
    return {"standard": standard, "maximumPowerKw": power_kw, "total": 0, "available": 0, "outOfOrder": 0, "unknown": 0}


def _place(kind: tuple[str, float | None]) -> tuple[int, float]:
    standard, power_kw = kind
    return PLACE[standard], -1.0 if power_kw is None else power_kw
