"""What is decided of tokens, and how removed ones are named: to the letter, and by broken twins that are noticed."""

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, Final

import pytest

from app.db.engine import Database
from app.exchange.actor import CONSOLE, read_as
from app.exchange.authorisation.retention import log_expired
from app.exchange.contracts import end_contract, set_contract
from app.exchange.roles import Party
from app.live.feeds.authorisation import AUTHORISATIONS, AuthorisationFilter, AuthorisationState
from app.live.log.cursor import Cursor
from app.live.log.rows import read_position
from app.live.stream.feed import Before, Had, SubscriptionFilter, nothing, seen_through_none
from app.live.stream.pages import changes_after
from app.visibility.viewer_scope import Viewer, ViewerScope
from tests.exchange.authorisation.world import World, item, make_world, token
from tests.exchange.world import Member, administrator, nsp, operator, owner, utc_now
from tests.waiting import until_locked_out

SQL = Path(__file__).parents[2] / "app" / "db" / "sql" / "authorisations.sql"


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


async def is_caught(check: Awaitable[None]) -> bool:
    try:
        await check
    except AssertionError:
        return True
    return False


async def contract(world: World, party: Party) -> Any:
    return await set_contract(world.database, CONSOLE, world.provider.party, party, utc_now())


# ---------------------------------------------------------------- what is decided


@dataclass(frozen=True)
class Moved:
    """A world in which tokens and contracts changed after a cursor. `late` and `left`: operators whose contract began
    after all that, and ended before it."""

    world: World
    cursor: Cursor
    late: Member
    left: Member
    names: dict[str, str]

    async def decided(self, member: Member, wanted: AuthorisationFilter) -> set[tuple[str, str]]:
        """Return what is decided for a caller by a filter."""
        asked = SubscriptionFilter(Viewer.of(member.caller), (wanted,))
        async with self.world.database.reading() as reader:
            page = await changes_after(reader, asked, self.cursor, 500, await read_position(reader))
        assert not page.more
        return {(each.action.value, self.names[each.id]) for each in page.changes}


@pytest.fixture
async def moved(world: World, database_url: str) -> Moved:
    database = world.database
    late, left = await operator(database, "DE8AE", "Late"), await operator(database, "DE8AF", "Left")
    ending = await contract(world, left.party)
    soon = (utc_now() + timedelta(hours=1)).isoformat()
    await world.update(*map(item, ("KEPT", "CHANGED", "GONE", "ERASED")), item("EXPIRED", expiresAt=soon))
    cursor = Cursor(await read_position(database))
    await end_contract(database, CONSOLE, ending, utc_now())
    await world.update(item("CHANGED", "DE8AAC00000002"), item("NEW"), item("BRIEF"))
    await world.remove(token("GONE"), token("BRIEF"))
    await log_expired(database, utc_now() + timedelta(hours=2))
    async with owner(database_url) as connection:
        rows = await connection.fetch("select id::text, instance from authorisation")
        await connection.execute("delete from authorisation where instance = 'ERASED'")
    await contract(world, late.party)
    return Moved(world, cursor, late, left, dict(map(tuple, rows)))


async def check_decisions(moved: Moved, wanted: AuthorisationFilter) -> None:
    world = moved.world
    for member, upserted, removed in (
        (world.operator, {"CHANGED", "NEW"}, {"GONE", "EXPIRED", "ERASED"}),
        (world.provider, {"CHANGED", "NEW"}, {"GONE", "EXPIRED", "ERASED"}),
        (moved.late, {"KEPT", "CHANGED", "NEW"}, set[str]()),
        (moved.left, set[str](), {"KEPT", "CHANGED", "GONE", "EXPIRED", "ERASED"}),
        (world.stranger, set[str](), set[str]()),
        (world.second, set[str](), set[str]()),
    ):
        expected = {("UPSERTED", each) for each in upserted} | {("REMOVED", each) for each in removed}
        assert await moved.decided(member, wanted) == expected, member.caller


async def test_are_decided_by_what_each_may_read_and_could_read(moved: Moved):
    await check_decisions(moved, AuthorisationFilter())


class OfEverybody(AuthorisationFilter):
    def has(self, state: AuthorisationState, scope: ViewerScope) -> bool:
        return state.in_force


class NotInForce(AuthorisationFilter):
    def has(self, state: AuthorisationState, scope: ViewerScope) -> bool:
        return state.provider_role_id in scope.providers


class Ever(AuthorisationFilter):
    def had(
        self, id_: str, before: Before, state: AuthorisationState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        return Had.SURELY


class Never(AuthorisationFilter):
    def had(
        self, id_: str, before: Before, state: AuthorisationState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        return Had.NO


class OthersBefore(AuthorisationFilter):
    def had(
        self, id_: str, before: Before, state: AuthorisationState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        if before.former is None:
            return super().had(id_, before, state, scope)
        return Had.SURELY if before.former.existed else Had.NO


class NeverNew(AuthorisationFilter):
    def had(
        self, id_: str, before: Before, state: AuthorisationState | None, scope: ViewerScope, has: bool | None = None
    ) -> Had:
        if before.former is None:
            return super().had(id_, before, state, scope)
        return Had.NO if scope.providers.isdisjoint(before.former.role_ids) else Had.SURELY


class NoContractMoves(AuthorisationFilter):
    feed = replace(AUTHORISATIONS, concerns=nothing)


class NothingWasThere(AuthorisationFilter):
    feed = replace(AUTHORISATIONS, was_seen_through=seen_through_none)


async def test_would_notice_another_filter(moved: Moved):
    for twin in AuthorisationFilter.__subclasses__():
        assert await is_caught(check_decisions(moved, twin())), twin


# ---------------------------------------------------------------- how removed ones are named


def sha_256(instance: str) -> str:
    return sha256(instance.encode()).hexdigest()


#: A card of which the provider publishes no more than its hash.
CARD: Final = sha1(b"CARD").hexdigest()
PLAIN_NAMES: Final = {
    CARD: "SHA_160",
    **dict.fromkeys(("KEPT", "CHANGED", "NEW", "TOLD", "RACED", "PAST"), "PLAIN"),
}
#: Of the last three the hashes were published before.
KNOWN_BEFORE: Final = {
    "KEPT": "PLAIN",
    CARD: "SHA_160",
    **{sha_256(each): "SHA_256" for each in ("CHANGED", "NEW", "TOLD", "RACED", "PAST")},
}


@dataclass(frozen=True)
class Names:
    """The names of a provider's tokens that callers learn once these are taken away."""

    world: World
    expected: Sequence[tuple[Member, Mapping[str, str]]]

    async def check(self) -> None:
        database = self.world.database
        rows = await read_as(database, self.world.provider.caller, "select id from authorisation")
        ids = [row["id"] for row in rows]
        for member, expected in self.expected:
            learned = await read_as(database, member.caller, "select * from removed_tokens($1)", ids)
            assert {row["instance"]: row["representation"] for row in learned} == expected, member.caller


@pytest.fixture
async def names(world: World, database_url: str) -> Names:
    """The contract of `left` ends, and then tokens change; that of `back` ends too, and begins again.

    That of `lapsed` ends by the clock, which the leader has not noticed yet. An upload begins before that
    and ends after it.
    """
    database = world.database
    parties = (("DE8AE", "Left"), ("DE8AF", "Back"), ("DE8AG", "Lapsed"))
    left, back, lapsed = [await operator(database, *each) for each in parties]
    navigation, clearing = await nsp(database), await administrator(database)
    await contract(world, navigation.party)
    ending = [await contract(world, each.party) for each in (left, back)]
    await contract(world, lapsed.party)
    card = {"token": token(CARD, representation="SHA_160")}
    hashed = [{"token": token(sha_256(each), representation="SHA_256")} for each in ("TOLD", "RACED")]
    await world.update(item("KEPT"), item("CHANGED"), *({**item(), **each} for each in (card, *hashed)))
    past = {"expiresAt": (utc_now() - timedelta(days=1)).isoformat()}
    await world.update({**item(**past), "token": token(sha_256("PAST"), representation="SHA_256")})
    async with (
        owner(database_url) as holder,
        owner(database_url) as watcher,
        asyncio.TaskGroup() as group,
        holder.transaction(),
    ):
        await holder.execute("select from authorisation where instance = $1 for update", sha_256("RACED"))
        group.create_task(world.update(item("RACED")))
        await until_locked_out(watcher, 1)
        for each in ending:
            await end_contract(database, CONSOLE, each, utc_now())
        lapse = "update viewer_scope set valid_until = clock_timestamp() where role_id = $1 and kind = 'EVSP'"
        await watcher.execute(lapse, lapsed.caller.role_id)
    changed = {"contract": "DE8AAC00000002"}
    await world.update(item("CHANGED", **changed), item("NEW"), item("TOLD"), {**item(**changed), **card})
    await world.update(item("PAST", **past))
    await contract(world, back.party)
    readers = [(each, PLAIN_NAMES) for each in (world.provider, world.operator, back)]
    others = [(each, {}) for each in (world.second, world.stranger, navigation, clearing)]
    return Names(world, [*readers, (left, KNOWN_BEFORE), (lapsed, KNOWN_BEFORE), *others])


async def test_are_named_to_those_who_knew_them_as_they_knew_them(names: Names):
    await names.check()


REMOVED_TOKENS: Final = re.compile(r"create or replace function removed_tokens.*?\n\$\$;", re.DOTALL)


TWINS: Final = (
    ("reader.knows or", "true or"),
    ("reader.knows or", "false or"),
    ("reader.knows is not null and", ""),
    ("role in ('EVSE_OPERATOR', 'EVSP')", "true"),
    ("scope.role_id = hub_role() and", ""),
    ("and subject = a.provider_role_id", ""),
    ("kind = 'EVSP' and", ""),
    ("bool_or(", "bool_and("),
    (">= a.updated_at", "is not null"),
    ("at > valid_until or", ""),
    ("not pg_visible_in_snapshot", "null and pg_visible_in_snapshot"),
    ("length(a.token_key) = 42", "false"),
)


async def test_would_notice_another_rule_of_naming(names: Names, database_url: str):
    found = REMOVED_TOKENS.search(SQL.read_text(encoding="utf-8"))
    assert found is not None
    async with owner(database_url) as connection:
        for condition, twin in TWINS:
            assert condition in found[0]
            await connection.execute(found[0].replace(condition, twin))
            assert await is_caught(names.check()), (condition, twin)
