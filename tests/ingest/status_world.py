"""Live status for tests: EVSEs with spots, who speaks of them, what stands and what was logged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.combined_status import Shown, Word, combined_status, own_status, spot_word
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, set_contract
from app.exchange.roles import Party, RoleName
from app.ingest.charge_points.updates import update_charge_points
from app.ingest.status.updates import update_status
from app.records.charge_point import EvseParkingSpot
from app.records.status_input import Hearing, read_evse_statuses, read_parking_statuses
from app.uploads.items import Owner, Report
from app.vocabulary import MajorStatus, MinorStatus, Role
from tests.exchange.world import look, utc_now
from tests.ingest.parking_world import make_pso
from tests.ingest.world import MONDAY, charge_point, make_owner

#: How long a word without a ttl is trusted here.
TRUST = timedelta(hours=1)


@dataclass(frozen=True)
class StatusWorld:
    """Two operators, of which the German one has a contract with a PSO.

    DE8ACE1 links P1 and P2, DE8ACE2 links P2, FRA23E1 links P3, DE8ACE3 none.
    """

    database: Database
    german: Owner
    french: Owner
    pso: Owner
    contracts: dict[str, UUID] = field(default_factory=dict[str, UUID])

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

    async def contract(self, by: str = "german") -> None:
        """Begin the contract of an operator with the PSO, or end it."""
        if by in self.contracts:
            await end_contract(self.database, CONSOLE, self.contracts.pop(by), utc_now())
            return
        owner: Owner = getattr(self, by)
        one = Party(owner.partner_id, RoleName(Role.EVSE_OPERATOR, owner.party_id))
        other = Party(self.pso.partner_id, RoleName(Role.PSO, self.pso.party_id))
        self.contracts[by] = await set_contract(self.database, CONSOLE, one, other, utc_now())


async def make_status_world(database: Database) -> StatusWorld:
    german, french = await make_owner(database, "DE8AC"), await make_owner(database, "FRA23")
    world = StatusWorld(database, german, french, await make_pso(database))
    await world.contract()
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
    """Return all rows of a status table by id; of spots those of their PSOs."""
    of_pso = "where said_by = 0" if table == "parking_status" else ""
    found = await database.fetch(f"select *, xmin::text as version from {table} {of_pso} order by 1")
    return {row[0]: dict(row) for row in found}


async def said_of(database: Database, parking_id: str, owner: Owner) -> dict[str, Any]:
    """Return an operator's own status of a spot."""
    [row] = await database.fetch(
        "select *, xmin::text as version from parking_status where parking_id = $1 and said_by = $2",
        parking_id,
        owner.operator_no,
    )
    return dict(row)


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


def _word(major: str, minor: str | None, until: datetime | None) -> Word | None:
    return None if until is None else Word(MajorStatus(major), None if minor is None else MinorStatus(minor), until)


Said = dict[tuple[str, int], Word | None]


async def words(database: Database) -> tuple[dict[str, Word | None], Said]:
    """Return the newest status of each EVSE by id, and of each spot by id and operator; 0: its PSO's."""
    evses = await database.fetch("select evse_id, major, minor, expires_at from evse_status")
    spots = await database.fetch("select parking_id, said_by, status, expires_at from parking_status")
    return {id_: _word(*said) for id_, *said in evses}, {
        (id_, said_by): _word(status, None, until) for id_, said_by, status, until in spots
    }


async def contracts(database: Database) -> set[tuple[int, str]]:
    """Return the operators and PSOs, by party id, that have a contract in force, whatever the rows of links say."""
    found = await look(
        database,
        """
        select operator.no, pso.party_id from contract
        join operator on operator.role_id in (first_role_id, second_role_id)
        join partner_role as pso on pso.id in (first_role_id, second_role_id) and pso.role = 'PSO'
        where contract.status = 'ACTIVE'
        """,
    )
    return {(row["no"], row["party_id"]) for row in found}


async def shown_by_rule(database: Database, now: datetime) -> dict[str, Shown]:
    """Return the statuses that readers see, by the rule in Python: combined for EVSEs; for spots the PSO's."""
    of_evses, of_spots = await words(database)
    contracted = await contracts(database)
    spots: dict[str, list[Word | None]] = {id_: [] for id_ in of_evses}
    for evse_id, no, parking_id in await database.fetch(
        "select evse_id, evse.operator_no, parking_id from evse_parking_spot join evse using (evse_id)"
    ):
        pso = of_spots[parking_id, 0] if (no, parking_id[:5]) in contracted else None
        spots[evse_id].append(spot_word(pso, of_spots[parking_id, no], now))
    shown = {id_: combined_status(word, spots[id_], now) for id_, word in of_evses.items()}
    return shown | {id_: own_status(word, now) for (id_, said_by), word in of_spots.items() if said_by == 0}


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
