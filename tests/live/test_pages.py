"""Pages of changes are bounded, complete together, and show no more than a viewer may see."""

import random
from typing import Any

import pytest

from app.db.engine import Database, Reading
from app.errors import HubError
from app.live.log.cursor import Cursor, decode_cursor
from app.live.log.rows import read_position
from app.live.stream import pages
from app.live.stream.pages import Page, changes_after
from app.vocabulary import ChangeAction
from schema.build import schema
from schema.changes import filter_of
from tests.exchange.world import owner
from tests.live.streams import DE, FR, QUERY, Client, Moving, ask, context_of, listed

HERE, FAR = (10.0, 48.0), (1.0, 40.0)
AROUND_HERE = {"near": {"latitude": 48.0, "longitude": 10.0, "radiusM": 5_000.0}}


@pytest.fixture
async def world(database: Database) -> Moving:
    return await Moving.make(database, random.Random(1))


class Counting:
    """A reader that counts the rows that come from the database."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self.rows, self.database = reading, 0, reading.database

    async def fetch(self, sql: str, *args: Any, planned: bool = False) -> list[Any]:
        found = await self.reading.fetch(sql, *args, planned=planned)
        self.rows += len(found)
        return found


async def read_page(world: Moving, cursor: Cursor, first: int = 500, **arguments: Any) -> tuple[Page, int]:
    """Read a page for the NSP. Return it, and how many rows that took."""
    wanted = filter_of({"kinds": ["EVSE"], **arguments}, world.nsp.caller)
    async with world.database.reading() as reading:
        counting: Any = Counting(reading)
        return await changes_after(counting, wanted, cursor, first, await read_position(reading)), counting.rows


async def at_present(world: Moving) -> Cursor:
    return Cursor(await read_position(world.database))


def shown(page: Page) -> set[tuple[str, str]]:
    return {(change.action.value, change.id) for change in page.changes}


# ---------------------------------------------------------------- where a page ends


async def test_reads_what_came_into_view_through_the_area(world: Moving):
    """This holds however many EVSEs the operator has elsewhere."""
    await world.contract(DE)
    await world.put(DE, *range(3), at=HERE, parking_spots=())
    await world.put(DE, *range(3, 300), at=FAR, parking_spots=())
    cursor = await at_present(world)
    await world.contract(DE)
    page, rows = await read_page(world, cursor, within=AROUND_HERE)
    assert shown(page) == {("UPSERTED", f"DE8ACE{number}") for number in range(3)}
    assert not page.more
    assert rows < 30
    everywhere, rows = await read_page(world, cursor)
    assert len(everywhere.changes) == 300
    assert rows >= 300


async def test_ends_after_looking_at_enough_and_the_next_pages_complete_it(
    world: Moving, monkeypatch: pytest.MonkeyPatch
):
    for name, value in (("CHUNK", 5), ("LEAST_LOOKED", 5), ("MOST_LOOKED", 10), ("MOST_IN_AREA", 0)):
        monkeypatch.setattr(pages, name, value)
    await world.contract(DE)
    await world.put(DE, *range(10, 60), at=FAR, parking_spots=())
    await world.put(DE, 99, at=HERE, parking_spots=())
    cursor = await at_present(world)
    await world.contract(DE)
    await world.put(FR, *range(10, 60), at=FAR, parking_spots=())
    await world.put(FR, 99, at=HERE, parking_spots=())
    found, empty, more = set[tuple[str, str]](), 0, True
    while more:
        page, rows = await read_page(world, cursor, within=AROUND_HERE)
        assert rows <= 40
        found |= shown(page)
        empty += not page.changes
        cursor, more = page.cursor, page.more
    assert found == {("UPSERTED", "DE8ACE99"), ("UPSERTED", "FRA23E99")}
    assert empty > 5


async def test_is_empty_at_once_without_kinds(world: Moving):
    client = Client(world.nsp.caller, kinds=[])
    await client.ask_on(world.database)
    await world.put(FR, *range(20), parking_spots=())
    asked = client.variables | {"cursor": client.cursor}
    page = (await ask(world.database, client.caller, QUERY, asked))["changes"]
    assert (page["changes"], page["hasMore"]) == ([], False)
    client.kinds, client.cursor = None, page["cursor"]
    await client.ask_on(world.database)
    assert not client.told, "the cursor has passed over everything"


async def test_comes_to_the_same_whatever_the_size_of_a_page(world: Moving):
    """EVSEs and spots that came, went, changed and changed back, of operators that came and went."""
    await world.put(DE, *range(12))
    await world.put(FR, *range(12))
    await world.contract("DEPRK")
    for number in range(6):
        await world.put_spot(number)
    start = Client(world.nsp.caller)
    await start.ask_on(world.database)
    evses, spots = await listed(world.database, start)
    start.held = {("EVSE", id_): node for id_, node in evses.items()}
    start.held |= {("PARKING_SPOT", id_): node for id_, node in spots.items()}
    for _ in range(15):
        await world.step()
    await world.contract(DE)
    await world.put(DE, *range(4, 8))
    await world.remove(DE, 3)
    await world.put(FR, *range(8, 16))
    await world.remove(FR, 9, 1)
    await world.put_spot(2)
    evses, spots = await listed(world.database, start)
    for first in range(1, 51):
        client = Client(world.nsp.caller, cursor=start.cursor, held=dict(start.held))
        await client.ask_on(world.database, first)
        assert client.ids("EVSE", "EVSE_STATUS") == evses.keys(), first
        assert client.ids("PARKING_SPOT", "PARKING_STATUS") == spots.keys(), first
        assert {id_: node for (kind, id_), node in client.held.items() if kind == "EVSE"} == evses, first


# ---------------------------------------------------------------- what was never visible to a viewer, or no longer is


async def make_then_change_in_an_earlier_transaction(world: Moving, database_url: str, number: int) -> None:
    """Make an EVSE; the transaction that changes it has the lower number, and its row of the log the higher id."""
    id_ = f"{DE}E{number}"
    async with owner(database_url) as earlier, earlier.transaction():
        await earlier.execute("select pg_current_xact_id()")
        await world.put(DE, number, at=HERE, parking_spots=())
        await earlier.execute("update evse set content_hash = 'other' where evse_id = $1", id_)
    rows = await world.database.fetch(
        "select existed from change where kind = 'EVSE' and entity_id = $1 order by transaction, id", id_
    )
    assert [row["existed"] for row in rows] == [True, False]


@pytest.mark.parametrize("first", [1, 2, 500])
@pytest.mark.parametrize("within", [None, AROUND_HERE])
@pytest.mark.parametrize("comes_back", [False, True])
async def test_never_speaks_of_what_came_and_changed_out_of_view(
    world: Moving, database_url: str, monkeypatch: pytest.MonkeyPatch, first: int, within: Any, comes_back: bool
):
    if first == 1:
        monkeypatch.setattr(pages, "CHUNK", 1)
    await world.put(DE, 1, at=HERE, parking_spots=())
    client = Client(world.nsp.caller, within)
    await client.ask_on(world.database)
    await world.contract(DE)  # ends it
    await make_then_change_in_an_earlier_transaction(world, database_url, 2)
    await make_then_change_in_an_earlier_transaction(world, database_url, 3)
    await world.remove(DE, 3)
    if comes_back:
        await world.remove(DE, 2)
        await world.contract(DE)
    await world.put(FR, 7, at=HERE, parking_spots=())
    await client.ask_on(world.database, first)
    said = {(change["action"], change["id"]) for change in client.told}
    assert {id_ for _, id_ in said} <= {"DE*8AC*E1", "FR*A23*E7"}
    assert ("UPSERTED", "FR*A23*E7") in said
    assert (("REMOVED", "DE*8AC*E1") in said) is not comes_back


async def test_would_speak_of_it_going_by_the_first_row_in_the_order_of_the_log(
    world: Moving, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """The broken twin: it takes an entity's former state from the first row that a page reads."""

    async def none(*_: Any) -> dict[Any, Any]:
        return {}

    monkeypatch.setattr(pages, "read_exact_formers", none)
    monkeypatch.setattr(pages, "CHUNK", 1)
    client = Client(world.nsp.caller)
    await client.ask_on(world.database)
    await world.contract(DE)
    await make_then_change_in_an_earlier_transaction(world, database_url, 2)
    await world.remove(DE, 2)
    await world.contract(DE)
    await client.ask_on(world.database, 1)
    assert ("REMOVED", "DE*8AC*E2") in {(change["action"], change["id"]) for change in client.told}


@pytest.mark.parametrize("first", [1, 500])
@pytest.mark.parametrize("within", [None, AROUND_HERE])
async def test_removes_what_went_out_of_view_whatever_became_of_it(world: Moving, first: int, within: Any):
    await world.put(DE, *range(1, 6), at=HERE, parking_spots=())
    await world.put(FR, 1, at=HERE, parking_spots=())
    cursor = await at_present(world)
    await world.put(DE, 1, at=HERE, parking_spots=(), location_id="L1")
    await world.contract(DE)  # ends it
    await world.put(DE, 2, at=FAR, parking_spots=())
    await world.remove(DE, 3)
    await world.remove(DE, 4)
    await world.put(DE, 4, at=FAR, parking_spots=())
    found, more = set[tuple[str, str]](), True
    while more:
        page, _ = await read_page(world, cursor, first, within=within)
        found |= shown(page)
        cursor, more = page.cursor, page.more
    removed = {id_ for action, id_ in found if action == ChangeAction.REMOVED.value}
    assert removed == {f"DE8ACE{number}" for number in range(1, 6)}
    assert not {id_ for action, id_ in found if action == ChangeAction.UPSERTED.value}


# ---------------------------------------------------------------- lists

LIST = "query ($after: String) { evses(first: 2, after: $after) { cursor nodes { evseId } pageInfo { endCursor } } }"
WITHOUT = LIST.replace("cursor nodes", "nodes")


async def test_follows_a_list_from_its_first_page_on(world: Moving):
    """Changes of page 1 while a later page is read are delivered afterwards."""
    await world.put(FR, *range(8), at=HERE, parking_spots=())
    first = (await ask(world.database, world.nsp.caller, LIST))["evses"]
    page, listed_ids = first, [node["evseId"] for node in first["nodes"]]
    while page["nodes"]:
        if len(listed_ids) == 4:
            await world.put(FR, 0, at=FAR, parking_spots=())
            await world.remove(FR, 1)
        after = {"after": page["pageInfo"]["endCursor"]}
        page = (await ask(world.database, world.nsp.caller, LIST, after))["evses"]
        assert decode_cursor(page["cursor"]).base.snapshot == decode_cursor(first["cursor"]).base.snapshot
        listed_ids += [node["evseId"] for node in page["nodes"]]
    assert sorted(listed_ids) == [f"FR*A23*E{number}" for number in range(8)]
    client = Client(world.nsp.caller, kinds=["EVSE"], cursor=page["cursor"])
    await client.ask_on(world.database)
    said = {(change["action"], change["id"]) for change in client.told}
    assert said == {("UPSERTED", "FR*A23*E0"), ("REMOVED", "FR*A23*E1")}


async def test_refuses_a_cursor_on_a_later_page_where_the_first_had_none(world: Moving):
    await world.put(FR, *range(4), at=HERE, parking_spots=())
    first = (await ask(world.database, world.nsp.caller, WITHOUT))["evses"]
    after = {"after": first["pageInfo"]["endCursor"]}
    result = await schema.execute(LIST, after, context_value=context_of(world.database, world.nsp.caller))
    assert result.errors
    error = result.errors[0].original_error
    assert isinstance(error, HubError)
    assert error.code == "BAD_CURSOR"
