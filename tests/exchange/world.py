"""The partners, keys and EVSEs that tests of this room are about, made through the commands themselves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.auth import Caller, Keys
from app.db.engine import Connection, Database
from app.errors import HubError
from app.exchange.actor import CONSOLE
from app.exchange.keys import IssuedKey
from app.exchange.partners import enrol_partner
from app.exchange.roles import Party, RoleName
from app.vocabulary import Role
from tests.waiting import until_locked_out


@dataclass(frozen=True)
class Member:
    """A partner in one of its roles, with a key that works."""

    party: Party
    key: IssuedKey
    caller: Caller


def utc_now() -> datetime:
    return datetime.now(UTC)


async def enrol(database: Database, name: str, *roles: tuple[Role, str | None], open_: bool = False) -> list[Member]:
    names = [RoleName(*role) for role in roles]
    enrolled = await enrol_partner(database, CONSOLE, name, names, utc_now(), open_)
    return [
        Member(Party(enrolled.partner_id, key.role), key, await authenticated(database, key.secret))
        for key in enrolled.keys
    ]


async def authenticated(database: Database, secret: str) -> Caller:
    """Return the caller behind a secret, past every cache. Raises: Unauthenticated."""
    caller = await Keys(database, trusted_s=0).verify(f"Bearer {secret}")
    assert caller is not None
    return caller


async def operator(database: Database, party_id: str = "DE8AC", name: str = "Operator", open_: bool = False) -> Member:
    [member] = await enrol(database, name, (Role.EVSE_OPERATOR, party_id), open_=open_)
    return member


async def provider(database: Database, party_id: str = "DE8AA", name: str = "Provider") -> Member:
    [member] = await enrol(database, name, (Role.EVSP, party_id))
    return member


async def nsp(database: Database, name: str = "Navigation") -> Member:
    [member] = await enrol(database, name, (Role.NSP, None))
    return member


async def administrator(database: Database, name: str = "Clearing house") -> Member:
    [member] = await enrol(database, name, (Role.ADMINISTRATOR, None))
    return member


async def refused(command: Awaitable[object]) -> tuple[str, str]:
    """Await what must be refused; give code and sentence."""
    try:
        answer = await command
    except HubError as error:
        return error.code, error.message
    raise AssertionError(f"it was not refused but gave {answer}")


async def look(database: Database, sql: str, *args: Any) -> list[asyncpg.Record]:
    """Read as the administrator may."""
    return await database.fetch_private(None, True, sql, *args)


async def audit_of(database: Database, subject_id: object) -> list[str]:
    rows = await look(database, "select action from audit_log where subject_id = $1 order by id", str(subject_id))
    return [row["action"] for row in rows]


async def status_of(database: Database, contract_id: UUID) -> str:
    [row] = await look(database, "select status from contract where id = $1", contract_id)
    return row["status"]


async def visible_operators(database: Database, member: Member) -> set[str]:
    """The party ids of the operators that a role may see."""
    rows = await database.fetch(
        "select party_id from visible_operators($1) as no join operator using (no)", member.caller.role_id
    )
    return {row["party_id"] for row in rows}


async def add_register_operator(database: Database, party_id: str, evses: int = 1) -> int:
    """Make an operator as an import of a register leaves it."""

    async def work(connection: Any) -> int:
        return await connection.fetchval(
            """
            insert into operator (party_id, name, open, source, licence)
            values ($1, 'As the register calls it', true, 'A register', 'A licence') returning no
            """,
            party_id,
        )

    no = await database.write(work)
    for number in range(evses):
        await add_evse(database, party_id, number, source="A register")
    return no


async def add_evse(database: Database, party_id: str, number: int, source: str | None = None) -> None:
    async def work(connection: Any) -> None:
        no = await connection.fetchval("select no from operator where party_id = $1", party_id)
        place = (f"L{number}", 7.0, 51.0, "Street", "DEU", "Name", "DEU", "ON_STREET", utc_now())
        await connection.execute(
            """
            insert into location (operator_no, location_id, longitude, latitude, address, country,
                location_name, location_name_language, location_type, updated_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """,
            no,
            *place,
        )
        await connection.execute(
            """
            insert into evse (evse_id, evse_id_as_sent, operator_no, location_id, longitude, latitude,
                address, country, location_name, location_name_language, location_type, updated_at, charge_point_type,
                connector_mask, connector_standards, connector_formats, connector_tariff_ids, content_hash, source)
            values ($11, $11, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'AC', 1,
                '{CHADEMO}', '{CABLE}', '{NULL}', '', $12)
            """,
            no,
            *place,
            f"{party_id}E{number}",
            source,
        )

    await database.write(work)


async def operator_row(database: Database, party_id: str) -> dict[str, Any]:
    [row] = await database.fetch(
        "select name, open, suspended, source, licence, role_id from operator where party_id = $1", party_id
    )
    return dict(row)


@asynccontextmanager
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the owner of the tables, whom row-level security does not bind."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def held_back(database_url: str, change: str, commands: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Bring all commands to rows that another transaction locked or changed, commit that; give how each ended."""
    async with owner(database_url) as holder, owner(database_url) as watcher:
        async with holder.transaction():
            await holder.execute(change)
            running = asyncio.gather(*commands, return_exceptions=True)
            await until_locked_out(watcher, len(commands))
        return await running


async def can_be_changed(database: Database, change: str) -> bool:
    """Return whether the hub's own role may execute a statement."""

    async def work(connection: Connection) -> None:
        await connection.execute(change)

    try:
        await database.write(work, administrator=True)
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True
