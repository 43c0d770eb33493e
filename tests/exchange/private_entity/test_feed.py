"""A reservation is followed by its two roles alone: live, from a list and from a cursor."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import true

from app.auth import Caller
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, set_contract
from app.exchange.workflow import Move
from app.live.feeds.sides import SidesFilter
from app.live.log.cursor import Cursor, decode_cursor
from app.live.log.rows import read_position
from app.live.stream.fanout import Fanout
from app.live.stream.sink import Subscription
from app.read.statements import STATEMENTS
from app.visibility import rules as visibility
from schema.errors import shown
from schema.private_changes import Following
from schema.subscription import FEEDS
from tests.exchange.private_entity.feed import RESERVATIONS
from tests.exchange.private_entity.subscription import RESERVATION, follow, role_of
from tests.exchange.private_entity.tables import reservation
from tests.exchange.private_entity.workflow import Command, move_reservations, request_reservations
from tests.exchange.private_entity.world import Sides, install, make_sides, registered
from tests.exchange.world import Member, owner, utc_now
from tests.live.streams import Collecting, until

Follow = Callable[[Database, Member], Following]


@pytest.fixture
async def sides(database, database_url, monkeypatch) -> AsyncIterator[Sides]:
    await install(database_url)
    with registered(monkeypatch):
        yield await make_sides(database)


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[Fanout]:
    fanout = Fanout(database, (*FEEDS, RESERVATIONS), shown)
    task = asyncio.create_task(fanout.run())
    try:
        yield fanout
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def own(database: Database, member: Member) -> Following:
    return follow(database, member.caller)


@dataclass
class Follower:
    """A role that follows reservations: what it received, and what it holds by id."""

    member: Member
    following: Following
    outlet: Collecting = field(default_factory=Collecting)
    subscription: Subscription | None = None
    received: list[tuple[str, str]] = field(default_factory=list)
    held: dict[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    has_more: bool = True

    async def connect(self, fanout: Fanout) -> None:
        self.outlet = Collecting()
        cursor = await self.following.start(initial=True) if self.cursor is None else decode_cursor(self.cursor)
        self.subscription = fanout.follow(self.following, self.outlet, cursor)

    def cut(self) -> None:
        assert self.subscription is not None
        self.look()
        self.subscription.close()

    def look(self) -> dict[str, Any]:
        """Apply the pages that have come. Return what is held: the status by id."""
        assert self.outlet.errors is None, self.outlet.errors
        pages, self.outlet.pages = self.outlet.pages, []
        for each in pages:
            page = each["reservationChanges"]
            self.cursor, self.has_more = page["cursor"], page["hasMore"]
            for change in page["changes"]:
                self._apply(change)
        return self.held

    def _apply(self, change: Any) -> None:
        self.received.append((change["action"], change["id"]))
        if change["action"] == "REMOVED":
            del self.held[change["id"]]
        else:
            self.held[change["id"]] = change["reservation"]["status"]


@asynccontextmanager
async def following(
    database: Database, members: Sequence[Member], followed: Follow = own
) -> AsyncIterator[Sequence[Follower]]:
    """Run a fan-out with a subscriber for each member, all of them live."""
    followers = [Follower(member, followed(database, member)) for member in members]
    async with running(database) as fanout:
        for each in followers:
            await each.connect(fanout)
        await live(followers)
        yield followers


async def live(followers: Sequence[Follower]) -> None:
    await until(lambda: all(getattr(each.subscription, "is_live", False) for each in followers), "being live")


async def request(database: Database, sides: Sides, *evse_ids: str) -> list[UUID]:
    return await request_reservations(
        database, sides.provider.caller, sides.operator.caller.role_id, evse_ids or ("DE8ACE1",), utc_now()
    )


async def move(database: Database, member: Member, id_: UUID, command: Command) -> None:
    advanced = await move_reservations(database, member.caller, [Move(id_, command)], utc_now())
    assert not advanced.refused


async def pages(database: Database, asked: Following, cursor: Cursor, first: int = 500) -> list[tuple[str, str]]:
    """Read all changes behind a cursor. Return action and id of each."""
    found: list[tuple[str, str]] = []
    more = True
    while more:
        page = await asked.page(cursor, first)
        cursor, more = page.cursor, page.more
        changes = [orjson.loads(each[0]) for each in page.changes if each is not None]
        found += [(change["action"], change["id"]) for change in changes]
    return found


async def everything_from(database: Database, sides: Sides, followed: Follow, database_url: str) -> list[Any]:
    """Make, move and delete reservations. Return what third parties received: live, then by pages from before."""
    strangers = (sides.sibling, sides.third, sides.administrator)
    before = Cursor(await read_position(database))
    async with following(database, (sides.provider, *strangers), followed) as (provider, *others):
        [id_] = await request(database, sides)
        await until(lambda: provider.look() == {str(id_): "REQUESTED"})
        by_pages = [await pages(database, each.following, before) for each in others]
        await move(database, sides.operator, id_, Command.CONFIRM)
        await until(lambda: provider.look() == {str(id_): "CONFIRMED"})
        await delete(database_url, id_)
        await until(lambda: provider.look() == {})
        await request(database, sides)
        await until(provider.look)  # a later round: those before it were delivered to everyone
        for each in others:
            with suppress(KeyError):  # a removal of what was never held
                each.look()
    return [*by_pages, *(each.received for each in others)]


async def delete(database_url: str, id_: UUID) -> None:
    async with owner(database_url) as connection:
        await connection.execute("delete from reservation where id = $1", id_)


# ---------------------------------------------------------------- the two roles


async def test_is_followed_by_its_two_roles_from_the_list_on(database, sides):
    [first] = await request(database, sides)
    async with following(database, (sides.provider, sides.operator)) as followers:
        await until(lambda: all(each.look() == {str(first): "REQUESTED"} for each in followers))
        [second] = await request(database, sides, "DE8ACE2")
        await move(database, sides.operator, first, Command.CONFIRM)
        expected = {str(first): "CONFIRMED", str(second): "REQUESTED"}
        await until(lambda: all(each.look() == expected for each in followers))


async def test_is_removed_from_a_role_that_had_it(database, database_url, sides):
    [id_] = await request(database, sides)
    async with following(database, (sides.provider, sides.operator)) as followers:
        await until(lambda: all(each.look() for each in followers))
        await delete(database_url, id_)
        await until(lambda: all(each.look() == {} for each in followers))
        assert [each.received for each in followers] == [[("UPSERTED", str(id_)), ("REMOVED", str(id_))]] * 2


async def test_is_not_removed_from_a_role_that_never_had_it(database, database_url, sides):
    before = Cursor(await read_position(database))
    [id_] = await request(database, sides)
    after = Cursor(await read_position(database))
    await delete(database_url, id_)
    for member in (sides.provider, sides.operator):
        assert await pages(database, own(database, member), before) == []
        assert await pages(database, own(database, member), after) == [("REMOVED", str(id_))]
    assert await pages(database, own(database, sides.third), after) == []


async def test_goes_on_from_a_cursor(database, sides):
    [first] = await request(database, sides)
    async with running(database) as fanout:
        follower = Follower(sides.provider, own(database, sides.provider))
        await follower.connect(fanout)
        await until(lambda: follower.look() and not follower.has_more)
        follower.cut()
        [second] = await request(database, sides, "DE8ACE2")
        await move(database, sides.provider, first, Command.CANCEL)
        await follower.connect(fanout)
        await until(lambda: follower.look() == {str(first): "CANCELLED", str(second): "REQUESTED"})
        await move(database, sides.operator, second, Command.DECLINE)
        await until(lambda: follower.look()[str(second)] == "DECLINED")


async def test_is_listed_page_by_page_while_more_are_requested(database, sides, monkeypatch):
    monkeypatch.setattr("app.live.stream.catching_up.MOST_ON_PAGE", 2)
    ids = await request(database, sides, *(f"DE8ACE{number}" for number in range(5)))
    async with running(database) as fanout:
        follower = Follower(sides.operator, own(database, sides.operator))
        await follower.connect(fanout)
        ids += await request(database, sides, "DE8ACE9")
        await until(lambda: follower.look() == {str(id_): "REQUESTED" for id_ in ids})


async def test_has_pages_of_any_size(database, sides):
    before = Cursor(await read_position(database))
    ids = await request(database, sides, *(f"DE8ACE{number}" for number in range(7)))
    found = await pages(database, own(database, sides.provider), before, first=2)
    assert sorted(found) == sorted(("UPSERTED", str(id_)) for id_ in ids)


async def test_does_not_depend_on_contracts(database, sides):
    async with following(database, (sides.provider, sides.operator)) as followers:
        [id_] = await request(database, sides)
        await until(lambda: all(each.look() for each in followers))
        contract = await set_contract(database, CONSOLE, sides.provider.party, sides.operator.party, datetime.now(UTC))
        await end_contract(database, CONSOLE, contract, datetime.now(UTC))
        await move(database, sides.operator, id_, Command.CONFIRM)
        await until(lambda: all(each.look() == {str(id_): "CONFIRMED"} for each in followers))
        assert [each.received for each in followers] == [[("UPSERTED", str(id_))] * 2] * 2


# ---------------------------------------------------------------- everyone else


async def test_reaches_no_third_party_and_no_other_role_of_a_partner(database, database_url, sides):
    assert await everything_from(database, sides, own, database_url) == [[]] * 6


@dataclass(frozen=True, slots=True)
class ByPartner(SidesFilter):
    """A broken twin: it asks for the roles of a partner, not for one role."""

    partner: frozenset[int] = frozenset()

    @property
    def roles(self) -> frozenset[int]:
        return self.partner

    def _is_side(self, role_ids: Sequence[int], scope: Any) -> bool:
        return not self.partner.isdisjoint(role_ids)


@dataclass(frozen=True, slots=True)
class Everything(SidesFilter):
    """A broken twin: it lets every subscriber see every reservation."""

    @property
    def roles(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None

    def _is_side(self, role_ids: Sequence[int], scope: Any) -> bool:
        return True


def follow_everything(database: Database, member: Member) -> Following:
    entity = replace(RESERVATION, wanted=lambda _, caller: Everything(RESERVATIONS, role_of(caller)))
    return follow(database, member.caller, entity)


async def test_would_reach_the_sibling_by_a_filter_by_partner(database, database_url, sides):
    partner = frozenset(member.caller.role_id for member in (sides.provider, sides.sibling))

    def broken(database: Database, member: Member) -> Following:
        ids = partner if member.caller.partner_id == sides.provider.caller.partner_id else frozenset()
        return follow(
            database,
            member.caller,
            replace(RESERVATION, wanted=lambda _, caller: ByPartner(RESERVATIONS, role_of(caller), ids)),
        )

    sibling_by_pages, *_ = received = await everything_from(database, sides, broken, database_url)
    assert sibling_by_pages
    assert received[3]


async def test_would_reach_everyone_without_its_filter(database, database_url, sides):
    assert all(await everything_from(database, sides, follow_everything, database_url))


# ---------------------------------------------------------------- written for one role


def break_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(visibility.RULES, reservation.name, lambda _table, _sight: true())  # type: ignore[arg-type]
    STATEMENTS.clear()


async def contents_learned(database: Database, sides: Sides) -> set[str]:
    """Return the statuses that third parties read through a broken filter, in rounds that serve its two sides too."""

    members = (sides.provider, sides.sibling, sides.operator, sides.third)
    async with following(database, members, follow_everything) as followers:
        await request(database, sides)
        await until(lambda: all(_received(each) for each in followers))
        return {status for each in (followers[1], followers[3]) for status in each.held.values()} & {"REQUESTED"}


def _received(follower: Follower) -> bool:
    with suppress(KeyError):  # the removal of what was never held
        follower.look()
    return bool(follower.received)


async def test_keeps_its_content_from_third_parties_with_the_plan_alone(database, database_url, sides):
    async with owner(database_url) as connection:
        await connection.execute("alter table reservation disable row level security")
    assert await contents_learned(database, sides) == set()


async def test_keeps_its_content_from_third_parties_with_row_level_security_alone(database, sides, monkeypatch):
    break_rule(monkeypatch)
    assert await contents_learned(database, sides) == set()


async def test_shows_its_content_without_both(database, database_url, sides, monkeypatch):
    """The broken twin of the two tests above."""
    async with owner(database_url) as connection:
        await connection.execute("alter table reservation disable row level security")
    break_rule(monkeypatch)
    assert await contents_learned(database, sides) == {"REQUESTED"}


async def test_reads_no_content_for_a_round(database, sides):
    """What a round reads for all roles is who they are, and the table itself stays closed to it."""
    [id_] = await request(database, sides)
    [row] = await database.fetch(RESERVATIONS.by_ids, [str(id_)])
    assert list(row.keys()) == ["id", "role_ids"]
    async with database.reading() as reader:
        assert await reader.fetch("select * from reservation") == []


async def test_never_changes_its_roles(database, sides):
    [id_] = await request(database, sides)

    async def work(connection: Any) -> None:
        await connection.execute(
            "update reservation set operator_role_id = $2 where id = $1", id_, sides.third.caller.role_id
        )

    caller: Caller = sides.provider.caller
    with pytest.raises(Exception, match="permission denied"):
        await database.write(work, caller.partner_id, False, caller.role_id)
