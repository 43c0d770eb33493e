"""Live status for tests: EVSEs with spots, who speaks of them, what stands and what was logged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.combined_status import Shown, Word, combined_status, own_status
from app.db.engine import Database
from app.ingest.charge_points.updates import update_charge_points
from app.ingest.status.updates import update_status
from app.records.charge_point import EvseParkingSpot
from app.records.status_input import Hearing, read_evse_statuses, read_parking_statuses
from app.uploads.items import Owner, Report
from app.vocabulary import MajorStatus, MinorStatus, Role
from tests.ingest.parking_world import make_pso
from tests.ingest.world import MONDAY, charge_point, make_owner

#: How long a word without a ttl is trusted here.
TRUST = timedelta(hours=1)


@dataclass(frozen=True)
class StatusWorld:
    """Two operators and a PSO. DE8ACE1 links P1 and P2, DE8ACE2 links P2, FRA23E1 links P3, DE8ACE3 none."""

    database: Database
    german: Owner
    french: Owner
    pso: Owner

    async def say(
        self,
        *items: dict[str, Any],
        by: str = "german",
        now: datetime = MONDAY,
        ttl: datetime | None = None,
        spots: Iterable[dict[str, Any]] = (),
    ) -> Report:
        """Send a status upload. `items`: of EVSEs."""
        owner: Owner = getattr(self, by)
        hearing = Hearing(now, ttl)
        role = Role.PSO if by == "pso" else Role.EVSE_OPERATOR
        evses = await read_evse_statuses(items, hearing)
        parking = await read_parking_statuses(list(spots), hearing)
        return await update_status(self.database, evses, parking, owner, role, now, TRUST)

    async def link(self, evse_id: str, *parking_ids: str, by: str = "german") -> None:
        links = tuple(EvseParkingSpot(parking_id=id_) for id_ in parking_ids)
        await update_charge_points(
            self.database, [charge_point(evse_id, parking_spots=links)], getattr(self, by), MONDAY
        )


async def make_status_world(database: Database) -> StatusWorld:
    german, french = await make_owner(database, "DE8AC"), await make_owner(database, "FRA23")
    world = StatusWorld(database, german, french, await make_pso(database))
    await world.link("DE8ACE1", "DEPRKP1", "DEPRKP2")
    await world.link("DE8ACE2", "DEPRKP2")
    await world.link("DE8ACE3")
    await world.link("FRA23E1", "DEPRKP3", by="french")
    return world


def evse(evse_id: str, major: str, minor: str | None = None, **more: Any) -> dict[str, Any]:
    """Write an item of `evses`; instants may be datetimes."""
    return {"evseId": evse_id, "major": major, "minor": minor, **_texts(more)}


def spot(parking_id: str, status: str, **more: Any) -> dict[str, Any]:
    """Write an item of `parkingSpots`."""
    return {"parkingId": parking_id, "status": status, **_texts(more)}


def _texts(more: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in more.items()}


def counts(report: Report) -> tuple[int, int, list[tuple[str, str]]]:
    """Return the numbers of accepted and unchanged items, and path and code of each refusal."""
    assert report.removed == 0
    return report.accepted, report.unchanged, [(each.path, each.code) for each in report.refused]


async def rows(database: Database, table: str) -> dict[str, dict[str, Any]]:
    """Return all rows of a status table by id."""
    found = await database.fetch(f"select *, xmin::text as version from {table} order by 1")
    return {row[0]: dict(row) for row in found}


async def log(database: Database, since: int = 0) -> list[tuple[int, str, str, bool | None]]:
    """Return the logged changes of statuses: number, kind, id, whether it was available."""
    found = await database.fetch(
        "select id, kind, entity_id, was_available from change where kind like '%STATUS' and id > $1 order by id", since
    )
    return [(row["id"], row["kind"], row["entity_id"], row["was_available"]) for row in found]


async def logged(database: Database, since: int = 0) -> list[str]:
    """Return the ids of the logged changes of statuses."""
    return [row[2] for row in await log(database, since)]


async def last_logged(database: Database) -> int:
    return max((row[0] for row in await log(database)), default=0)


async def history(database: Database, evse_id: str) -> list[tuple[datetime, str, str | None]]:
    found = await database.fetch(
        "select at, major, minor from status_history where evse_id = $1 order by at, recorded_at", evse_id
    )
    return [(row["at"], row["major"], row["minor"]) for row in found]


# ---------------------------------------------------------------- what readers see, in two ways


async def words(database: Database) -> dict[str, Word | None]:
    """Return the newest status of each EVSE and spot, by id."""
    evses, spots = await rows(database, "evse_status"), await rows(database, "parking_status")
    found = {id_: (row["major"], row["minor"], row["expires_at"]) for id_, row in evses.items()}
    found |= {id_: (row["status"], None, row["expires_at"]) for id_, row in spots.items()}
    return {
        id_: None if until is None else Word(MajorStatus(major), None if minor is None else MinorStatus(minor), until)
        for id_, (major, minor, until) in found.items()
    }


async def shown_by_rule(database: Database, now: datetime) -> dict[str, Shown]:
    """Return the statuses that readers see, by the rule in Python: combined for EVSEs, plain for spots."""
    said = await words(database)
    links: dict[str, list[str]] = {}
    for row in await database.fetch("select evse_id, parking_id from evse_parking_spot"):
        links.setdefault(row["evse_id"], []).append(row["parking_id"])
    evses = await rows(database, "evse_status")
    shown = {id_: combined_status(said[id_], [said[each] for each in links.get(id_, ())], now) for id_ in evses}
    return shown | {id_: own_status(word, now) for id_, word in said.items() if id_ not in evses}


async def shown_by_rows(database: Database, now: datetime) -> dict[str, Shown]:
    """Return the combined status of EVSEs by their rows alone."""
    shown: dict[str, Shown] = {}
    for id_, row in (await rows(database, "evse_status")).items():
        until: datetime = row["expires_at"] or now
        blocked: datetime = row["blocked_until"] or now
        if until <= now or row["major"] == "UNKNOWN":
            shown[id_] = Shown(MajorStatus.UNKNOWN)
        elif row["major"] == "AVAILABLE" and blocked > now:
            shown[id_] = Shown(MajorStatus.NOT_AVAILABLE, MinorStatus.BLOCKED, min(until, blocked))
        else:
            minor = None if row["minor"] is None else MinorStatus(row["minor"])
            shown[id_] = Shown(MajorStatus(row["major"]), minor, until)
    return shown


async def differing(database: Database, now: datetime) -> Sequence[str]:
    """Return the EVSEs whose rows contradict the rule."""
    rule, stored = await shown_by_rule(database, now), await shown_by_rows(database, now)
    return [f"{id_}: rule {rule[id_]}, rows {shown}" for id_, shown in stored.items() if rule[id_] != shown]
