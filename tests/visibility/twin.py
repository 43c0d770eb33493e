"""A hub whose rules, policies and functions can be broken, and the reads that have nothing but one of them."""

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Boolean, DateTime, Float, Integer, Table, Uuid

from app.auth import Caller
from app.db.engine import identify
from app.db.tables import metadata
from app.read.execute import read
from app.read.plan import Column, Field, Nodes, Selection
from app.read.search import Listing, Request
from app.visibility.rules import OFFERED_TARIFF, PRIVATE
from app.vocabulary import ContractStatus
from tests.visibility.private_matrix import PrivateMatrix, private_matrix
from tests.visibility.streams import check
from tests.visibility.worlds import DEFAULT, INDIVIDUAL, PROVIDERS, TELLING, Worlds
from tests.visibility_matrix import ALWAYS_OPEN, CLEARING_HOUSE, ROLES, Agreement, Held, State


def agreed(one: int, other: int) -> Agreement:
    return Agreement(ROLES[one - 1], ROLES[other - 1], ContractStatus.ACTIVE, None, None)


#: Of the public matrix: an NSP sees an operator through its provider, another operator sees a PSO.
STATE = State(frozenset(), frozenset(), (agreed(5, 6), agreed(3, 5), agreed(1, 8)))


def evses_seen_by(caller: Held | None) -> set[str]:
    return {f"{party_id}E{n}" for party_id in STATE.operators_seen_by(caller) for n in range(2)}


def operators_seen_by(caller: Held | None) -> set[str]:
    return STATE.operators_seen_by(caller) | {ALWAYS_OPEN}


#: Public tables: the column that identifies rows, and what the public matrix says of it.
PUBLIC: Mapping[str, tuple[str, Callable[[Held | None], Collection[str]]]] = {
    "operator": ("party_id", operators_seen_by),
    "location": ("location_name", evses_seen_by),
    "evse": ("evse_id", evses_seen_by),
    "parking_spot": ("parking_id", STATE.spots_seen_by),
    "parking_place": ("parking_id", STATE.places_seen_by),
}
#: Rows of other tables are identified by their first column, but for these.
KEYS: Mapping[str, tuple[str, ...]] = {
    "workflow_history": ("no",),
    "workflow_chain": ("first_partner_id", "second_partner_id"),
    "viewer_scope_due": ("wide",),
    "cdr_content": ("cdr_key",),
    "individual_tariff": ("tariff_id", "number"),
    "offered_tariff": ("tariff_id", "number"),
    "tariff_recipient": ("tariff_id", "party_id"),
}
#: Columns that may be written, where the first one is not.
WRITABLE = {"refusal": "at", "workflow_chain": "hash"}
#: Tables that the hub only appends to.
APPENDED = {"audit_log", "workflow_history", "authorisation_request", "cdr_content"}
#: Tables of which every caller sees some rows, those of earlier worlds too, and the administrator no more than them.
TARIFFS = {"tariff", "individual_tariff", "offered_tariff", "tariff_recipient"}
#: The table whose rows a selection has, and by which row-level security protects it.
SELECTED_FROM = {"offered_tariff": "individual_tariff"}

APPEND = """
insert into audit_log (at, action, subject, subject_id, details, partner_ids) values (now(), 'a', 's', 'i', '{}', '{}')
"""


def keys_of(table: Table) -> tuple[str, ...]:
    if table.name in PUBLIC:
        return (PUBLIC[table.name][0],)
    return KEYS.get(table.name, (table.columns.keys()[0],))


def key_of(values: Any) -> Any:
    return values[0] if len(values) == 1 else tuple(values)


def as_caller(held: Held | None) -> Caller | None:
    if held is None:
        return None
    return Caller(UUID(int=0), held.id, held.partner_id, held.partner, held.role, held.party_id)


@dataclass(frozen=True)
class Twin:
    """A hub with a telling world in it."""

    private: PrivateMatrix
    worlds: Worlds

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.private.made.hub.run(work)

    def execute(self, sql: str) -> None:
        self.private.made.execute(sql)

    def fetch(self, sql: str, *args: Any) -> list[Any]:
        return self.run(self.private.made.owner.fetch(sql, *args))

    def callers(self, table: str) -> Sequence[Held | None]:
        """Return who looks at a table: all roles of the model that it belongs to."""
        return (None, *ROLES) if table in PUBLIC else (None, CLEARING_HOUSE, *self.worlds.worlds[0].roles)

    @asynccontextmanager
    async def trial(self, *changes: str) -> AsyncIterator[asyncpg.Connection]:
        """Open a transaction in which something is different, and which is rolled back."""
        owner = self.private.made.owner
        transaction = owner.transaction()
        await transaction.start()
        try:
            for each in changes:
                await owner.execute(each)
            yield owner
        finally:
            await transaction.rollback()

    # ---- rules

    async def check_rule(self, table: str) -> None:
        """Read a table in everybody's name, as a plan does. For a provider, too, where a request can name one."""
        for caller in self.callers(table):
            for asked in (None, *self._providers()) if table == "individual_tariff" else (None,):
                found = self._of_worlds(table, await self._read(table, caller, asked))
                compare(found, self._wanted(table, caller, asked), table, caller)

    def _providers(self) -> Sequence[Held]:
        return [self.worlds.worlds[0].roles[n] for n in PROVIDERS]

    def _of_worlds(self, table: str, found: set[Any]) -> set[Any]:
        own = SELECTED_FROM.get(table, table)
        return found & self.worlds.all_of(own) if table in TARIFFS else found

    def _wanted(self, table: str, caller: Held | None, asked: Held | None) -> Collection[Any]:
        if table in PUBLIC:
            return PUBLIC[table][1](caller)
        if table == "individual_tariff":
            return self.worlds.individual_tariffs(caller, asked)
        if table == "offered_tariff":
            seen = self.worlds.rows("tariff", caller)
            return {each for each in self.worlds.all_of("individual_tariff") if each[0] in seen}
        is_shown = table in self.worlds.tables and table != "cdr_occupancy"
        return self.worlds.rows(table, caller) if is_shown else ()

    async def _read(self, name: str, caller: Held | None, about: Held | None) -> set[Any]:
        table: Any = OFFERED_TARIFF if name in SELECTED_FROM else metadata.tables[name]
        names = keys_of(table)
        asked = Selection((Field("nodes", Nodes(), tuple([Field(name, Column((name,))) for name in names])),))
        given = {} if about is None else {"provider_id": about.party_id}
        request = Request(Listing(table, names[:1]), given, 10_000)
        answer = await read(self.private.made.hub.database, as_caller(caller), asked, request, datetime.now(UTC))
        return {key_of([node[name] for name in names]) for node in answer["nodes"]}

    # ---- policies

    async def check_policies(self, table: str, connection: asyncpg.Connection) -> None:
        """Read a private table in everybody's name, and write it, by plain SQL: row-level security alone decides.

        It lets the administrator through, for the hub's own housekeeping; but not to tariffs.
        """
        columns = ", ".join(keys_of(metadata.tables[table]))
        for caller in self.callers(table):
            is_hub = caller is CLEARING_HOUSE and table not in TARIFFS
            own = self.worlds.all_of(table) if is_hub else self._passing(table, caller)
            found = await looked(connection, caller, f"select {columns} from {table}")
            compare(self._of_worlds(table, found), own, table, caller)
            if table not in APPENDED:
                written = WRITABLE.get(table, columns.partition(",")[0])
                update = f"update {table} set {written} = {written} returning {columns}"
                may = own if is_hub else self._own(table, caller)
                compare(await looked(connection, caller, update), may, f"{table} is written", caller)
            if table == "audit_log":
                await looked(connection, caller, APPEND)

    def _passing(self, table: str, caller: Held | None) -> set[Any]:
        """Return the rows that row-level security shows: of tariffs more than the rules do, which know of contracts."""
        if table == "tariff":
            return self.worlds.all_of(table)
        own = self.worlds.rows(table, caller)
        if table not in TARIFFS:
            return own
        meant = {each for world in self.worlds.worlds for each in world.tariffs if world.may_read(caller, each)}
        if table == "tariff_recipient":
            return own | {(each.id, each.recipient.party_id) for each in meant}
        defaults = {each for each in self.worlds.all_of(table) if each[1] == DEFAULT}
        return own | defaults | {(each.id, INDIVIDUAL) for each in meant}

    def _own(self, table: str, caller: Held | None) -> set[Any]:
        """Return the rows that a caller may write: of tokens and tariffs fewer than it may read."""
        worlds = self.worlds.worlds
        if table == "authorisation":
            return {each.id for world in worlds for each in world.tokens if each.provider == caller}
        if table == "tariff":
            return {each.id for world in worlds for each in world.tariffs if each.operator == caller}
        return self.worlds.rows(table, caller)

    # ---- the whole of it

    def check_everything(self) -> None:
        """Query and follow everything in the name of every caller, in new worlds."""
        check(self.private, self.private.worlds([TELLING, TELLING]))


async def looked(connection: asyncpg.Connection, caller: Held | None, sql: str, *args: Any) -> set[Any]:
    """Return what a statement returns to a caller's role; what it writes is undone."""
    by = as_caller(caller)
    transaction = connection.transaction()
    await transaction.start()
    try:
        named = (None, False) if by is None else (by.partner_id, by.is_administrator, by.role_id)
        await identify(connection, *named)  # type: ignore[arg-type]
        await connection.execute("set local role ochub_runtime")
        return {key_of(row) for row in await connection.fetch(sql, *args)}
    finally:
        await transaction.rollback()


def compare(found: Collection[Any], wanted: Collection[Any], what: str, caller: Held | None) -> None:
    """Hold keys against the model. The administrator sees other worlds and the public matrix, too."""
    is_wider = caller is CLEARING_HOUSE and wanted and what not in TARIFFS
    shown = set(found) & set(wanted) if is_wider else set(found)
    assert shown == set(wanted), (what, caller)


# ---------------------------------------------------------------- making one


@contextmanager
def make_twin(dsn: str) -> Iterator[Twin]:
    """Serve a database in which every table may be read: what hides rows is rules and policies alone."""
    with private_matrix(dsn) as private:
        private.made.put(STATE)
        private.made.execute("grant select on all tables in schema public to ochub_runtime")
        yield Twin(private, private.put(TELLING))


def fill(twin: Twin, table: Table) -> None:
    """Add a row with anything in it to a table that has none, and that worlds do not fill."""
    if twin.fetch(f"select from {table.name} limit 1"):
        return
    constraints = "select conname from pg_constraint where conrelid = $1::text::regclass and contype = 'c'"
    for (name,) in twin.fetch(constraints, table.name):
        twin.execute(f"alter table {table.name} drop constraint {name}")
    given = [each for each in table.columns if _must_be_given(each)]
    names, values = ", ".join(each.name for each in given), ", ".join(_anything(each.type) for each in given)
    twin.execute("set session_replication_role = replica")  # neither foreign keys nor triggers
    twin.execute(f"insert into {table.name} ({names}) values ({values})")
    twin.execute("reset session_replication_role")


def _must_be_given(column: Any) -> bool:
    return not (column.nullable or column.server_default is not None or column.identity or column.computed)


def _anything(type_: Any) -> str:
    """Return a value of a type; an instant that nothing waits for."""
    if isinstance(type_, Integer | Float):
        return "0"
    if isinstance(type_, DateTime):
        return "'2199-01-01'"
    if isinstance(type_, Uuid):
        return "gen_random_uuid()"
    return "true" if isinstance(type_, Boolean) else "'{}'"


@contextmanager
def without_row_level_security(twin: Twin, table: str) -> Iterator[None]:
    twin.execute(f"alter table {table} disable row level security")
    try:
        yield
    finally:
        if table in PRIVATE:
            twin.execute(f"alter table {table} enable row level security")
