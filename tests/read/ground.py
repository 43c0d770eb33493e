"""A hub of a test file's own: an operator that everybody sees, and as many charge points as the question needs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from app.db.cluster import Cluster
from app.db.engine import Database
from app.ingest.charge_points.updates import Owner, remove_charge_points, update_charge_points
from app.records.charge_point_input import read_charge_point
from app.settings import Settings
from tests.exchange import world as exchange
from tests.hub import Hub, scratch_database, serve
from tests.world import evse

BEGINNING = datetime(2026, 3, 2, 12, tzinfo=UTC)
T2 = "IEC_62196_T2/SOCKET"


@dataclass
class Ground:
    """A hub and the owner under whose party id, DETST, charge points are uploaded; time passes with each upload."""

    hub: Hub
    dsn: str
    database: Database
    owner: Owner
    now: datetime = BEGINNING

    def put(self, charge_points: Sequence[Any], owner: Owner | None = None) -> None:
        """Upload charge points, as `ChargePointInput`, of which none may be refused."""
        items = [read_charge_point(raw, index) for index, raw in enumerate(charge_points)]
        self.now += timedelta(minutes=1)

        async def work(database: Database) -> Any:
            return await update_charge_points(database, items, owner or self.owner, self.now)  # type: ignore[arg-type]

        report = self.run(work)
        assert not report.refused, report.refused[:3]

    def put_at(self, *positions: tuple[float, float], prefix: str = "E") -> None:
        """Upload a charge point, at a location of its own, at each position (longitude, latitude)."""
        self.put(
            [
                evse(f"DE*TST*{prefix}{n}", f"{prefix}{n}", latitude, longitude, T2)
                for n, (longitude, latitude) in enumerate(positions)
            ]
        )

    def remove(self, *evse_ids: str) -> None:
        self.now += timedelta(minutes=1)

        async def work(database: Database) -> Any:
            return await remove_charge_points(database, evse_ids, self.owner, self.now)

        assert not self.run(work).refused

    def run(self, work: Any) -> Any:
        """Run something on connections beside the hub's, where the hub runs."""
        return self.hub.run(work(self.database))

    def everything(self, field: str, nodes: str, variables: Any, first: int = 500) -> list[Any]:
        """Return the edges' nodes of all pages."""
        query = f"""query ($within: AreaInput, $filter: EvseFilter, $first: Int!, $after: String) {{
            {field}(within: $within, filter: $filter, first: $first, after: $after)
            {{ nodes {{ {nodes} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
        found: list[Any] = []
        after = None
        while True:
            page = self.hub.ask(query, {"first": first, "after": after, **variables})[field]
            found += page["nodes"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return found


@contextmanager
def make_ground(cluster: Cluster, template: str) -> Iterator[Ground]:
    with scratch_database(cluster.dsn, template, f"ground_{uuid4().hex}") as dsn, serve(dsn) as hub:
        database = hub.run(Database.open(dsn, Settings()))
        try:
            yield Ground(hub, dsn, database, hub.run(make_owner(database)))
        finally:
            hub.run(database.close())


async def make_owner(database: Database, party_id: str = "DETST", open_: bool = True) -> Owner:
    member = await exchange.operator(database, party_id, f"Operator {party_id}", open_=open_)
    assert member.caller.party_id is not None
    return Owner(member.caller.partner_id, member.caller.role_id, member.caller.party_id)
