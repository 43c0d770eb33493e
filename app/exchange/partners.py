"""Partners and the roles they hold: registered, renamed, suspended, granted and revoked by the administrator."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg

from app.db.engine import Connection, Database
from app.errors import BadInput, HubError
from app.exchange.actor import Actor, not_found, require_administrator, write_as
from app.exchange.audit import Entry, record
from app.exchange.contracts import end_contracts_of
from app.exchange.keys import IssuedKey, insert_key, revoke_keys_of
from app.exchange.operators import claim_operator, release_operator, rename_operators, suspend_operators
from app.exchange.roles import HeldRole, Party, RoleName, held_role, lock_role
from app.exchange.workflow import ADMINISTRATOR, NotPossible, Transition, next_state
from app.ids import shown
from app.vocabulary import Role

NAME_CHARACTERS = 200


class PartyIdTaken(HubError):
    """Another partner holds this party id in this role."""

    code = "PARTY_ID_TAKEN"


class PartnerState(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


TRANSITIONS = (
    Transition(PartnerState.ACTIVE, "suspend", PartnerState.SUSPENDED, (ADMINISTRATOR,)),
    Transition(PartnerState.SUSPENDED, "resume", PartnerState.ACTIVE, (ADMINISTRATOR,)),
)


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner and the roles it holds now."""

    id: UUID
    name: str
    suspended_at: datetime | None
    roles: tuple[HeldRole, ...]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new partner and its first keys, one per role."""

    partner_id: UUID
    keys: tuple[IssuedKey, ...]


async def register_partner(
    database: Database, actor: Actor, name: str, roles: Sequence[RoleName], now: datetime, open_: bool = False
) -> UUID:
    """Register a partner with its roles. Return its id. `open_`: everybody sees the EVSEs of its operators.

    Raises: Forbidden; BadInput for an impossible name or roles; PartyIdTaken.
    """
    require_administrator(actor, "register partner")

    async def work(connection: Connection) -> UUID:
        partner_id, _ = await _register(connection, actor, name, roles, now, open_)
        return partner_id

    return await write_as(database, actor, work)


async def enrol_partner(
    database: Database, actor: Actor, name: str, roles: Sequence[RoleName], now: datetime, open_: bool = False
) -> Enrolled:
    """Register a partner and issue one key for each of its roles, in one transaction.

    Raises: as `register_partner`.
    """
    require_administrator(actor, "register partner")

    async def work(connection: Connection) -> Enrolled:
        partner_id, held = await _register(connection, actor, name, roles, now, open_)
        keys = [await insert_key(connection, actor, role, None, now, "issueApiKey") for role in held]
        return Enrolled(partner_id, tuple(keys))

    return await write_as(database, actor, work)


async def update_partner(database: Database, actor: Actor, partner_id: UUID, name: str, now: datetime) -> UUID:
    """Rename a partner and its operators; the same name again changes nothing.

    Raises: Forbidden; BadInput; NotFound.
    """
    require_administrator(actor, "update partner")
    new = _checked_name(name)

    async def work(connection: Connection) -> UUID:
        old = await _lock_partner(connection, partner_id)
        if old["name"] != new:
            await connection.execute("update partner set name = $2 where id = $1", partner_id, new)
            await rename_operators(connection, partner_id, new)
            details = {"from": old["name"], "to": new}
            await record(connection, actor, now, [_entry("updatePartner", partner_id, details)])
        return partner_id

    return await write_as(database, actor, work)


async def suspend_partner(database: Database, actor: Actor, partner_id: UUID, now: datetime) -> UUID:
    """Suspend a partner: its keys, contracts and operators have no effect until it is resumed.

    Raises: Forbidden; NotFound; NotPossible when it is suspended already.
    """
    return await _set_standing(database, actor, partner_id, "suspend", now)


async def resume_partner(database: Database, actor: Actor, partner_id: UUID, now: datetime) -> UUID:
    """Resume a suspended partner, with its keys, contracts and operators.

    Raises: Forbidden; NotFound; NotPossible when it is not suspended.
    """
    return await _set_standing(database, actor, partner_id, "resume", now)


async def grant_role(
    database: Database, actor: Actor, partner_id: UUID, name: RoleName, now: datetime, open_: bool = False
) -> UUID:
    """Grant a partner a role. Return the partner's id. An EVSE_OPERATOR gets the operator of its party id.

    Raises: Forbidden; BadInput; NotFound; NotPossible when it holds the role; PartyIdTaken.
    """
    require_administrator(actor, "grant role")
    _check_open([name], open_)

    async def work(connection: Connection) -> UUID:
        partner = await _lock_partner(connection, partner_id)
        await _grant(connection, partner, name, open_)
        await record(connection, actor, now, [_entry("grantRole", partner_id, _details(name, open_))])
        return partner_id

    return await write_as(database, actor, work)


async def revoke_role(database: Database, actor: Actor, partner_id: UUID, name: RoleName, now: datetime) -> UUID:
    """Revoke a role: its contracts end, its keys are revoked, its party id is free again. Return the partner's id.

    An operator and its EVSEs are released: `app.exchange.operators.release_operator`.

    Raises: Forbidden; NotFound.
    """
    require_administrator(actor, "revoke role")

    async def work(connection: Connection) -> UUID:
        party = Party(partner_id, name)
        role = await lock_role(connection, party, "no key update")
        if role is None:
            raise not_found("role", party)
        await connection.execute("update partner_role set revoked_at = $2 where id = $1", role.id, now)
        await record(connection, actor, now, [_entry("revokeRole", partner_id, _details(name))])
        await end_contracts_of(connection, actor, role, now, "revokeRole")
        await revoke_keys_of(connection, actor, role, now, "revokeRole")
        if name.role is Role.EVSE_OPERATOR:
            await release_operator(connection, role)
        return partner_id

    return await write_as(database, actor, work)


async def list_partners(database: Database, actor: Actor) -> tuple[Partner, ...]:
    """List the partners the actor may see (the administrator all, a partner itself), by name."""
    rows = await database.fetch(
        """
        select partner.id as partner_id, partner.name, suspended_at, partner_role.id, role, party_id
        from partner left join partner_role on partner_role.partner_id = partner.id and revoked_at is null
        where $1 or partner.id = $2
        order by lower(partner.name), partner.id, partner_role.id
        """,
        actor.is_administrator,
        actor.partner_id,
    )
    return tuple(_partner(list(rows_of)) for _, rows_of in groupby(rows, key=lambda row: row["partner_id"]))


def _partner(rows: Sequence[asyncpg.Record]) -> Partner:
    id_, name, suspended_at, *_ = rows[0]
    roles = [held_role(row["id"], id_, name, row["role"], row["party_id"]) for row in rows if row["id"] is not None]
    return Partner(id_, name, suspended_at, tuple(roles))


async def _register(
    connection: Connection, actor: Actor, name: str, roles: Sequence[RoleName], now: datetime, open_: bool
) -> tuple[UUID, list[HeldRole]]:
    name = _checked_name(name)
    _check_open(roles, open_)
    twice = next((role for role, count in Counter(roles).items() if count > 1), None)
    if twice is not None:
        raise BadInput(f"{twice} is named twice")
    partner_id: UUID = await connection.fetchval("insert into partner (name) values ($1) returning id", name)
    partner = await _lock_partner(connection, partner_id)
    held = [await _grant(connection, partner, role, open_) for role in roles]
    details = {"name": name, "roles": [_details(role, open_) for role in roles]}
    await record(connection, actor, now, [_entry("registerPartner", partner_id, details)])
    return partner_id, held


async def _grant(connection: Connection, partner: asyncpg.Record, name: RoleName, open_: bool) -> HeldRole:
    """Insert a role that no partner holds, and claim its operator; again when the holder lost the role meanwhile."""
    role_id = None
    while role_id is None:
        role_id = await connection.fetchval(
            """
            insert into partner_role (partner_id, role, party_id) values ($1, $2, $3)
            on conflict do nothing returning id
            """,
            partner["id"],
            name.role.value,
            name.party_id,
        )
        if role_id is None:
            await _refuse_if_held(connection, partner, name)
    role = HeldRole(role_id, partner["id"], partner["name"], name)
    if name.role is Role.EVSE_OPERATOR:
        await claim_operator(connection, role, open_, suspended=partner["suspended_at"] is not None)
    return role


async def _refuse_if_held(connection: Connection, partner: asyncpg.Record, name: RoleName) -> None:
    holder = await connection.fetchrow(
        """
        select partner.id, partner.name from partner_role join partner on partner.id = partner_role.partner_id
        where role = $1 and revoked_at is null and (party_id = $2 or ($2::text is null and partner.id = $3))
        """,
        name.role.value,
        name.party_id,
        partner["id"],
    )
    if holder is None:
        return
    if holder["id"] == partner["id"]:
        raise NotPossible(f"grant is not possible: {partner['name']} holds {name} already")
    raise PartyIdTaken(
        f"{name} is held by {holder['name']} ({holder['id']})", "revoke it there first, or choose another party id"
    )


async def _set_standing(database: Database, actor: Actor, partner_id: UUID, event: str, now: datetime) -> UUID:
    require_administrator(actor, f"{event} partner")

    async def work(connection: Connection) -> UUID:
        partner = await _lock_partner(connection, partner_id)
        before = PartnerState.ACTIVE if partner["suspended_at"] is None else PartnerState.SUSPENDED
        suspended = next_state(TRANSITIONS, before, event, {ADMINISTRATOR}) == PartnerState.SUSPENDED
        await connection.execute(
            "update partner set suspended_at = $2 where id = $1", partner_id, now if suspended else None
        )
        await suspend_operators(connection, partner_id, suspended)
        await record(connection, actor, now, [_entry(f"{event}Partner", partner_id, {})])
        return partner_id

    return await write_as(database, actor, work)


async def _lock_partner(connection: Connection, partner_id: UUID) -> asyncpg.Record:
    row = await connection.fetchrow(
        "select id, name, suspended_at from partner where id = $1 for no key update", partner_id
    )
    if row is None:
        raise not_found("partner", partner_id)
    return row


def _checked_name(name: str) -> str:
    """Return a name with its white space normalised.

    Raises: BadInput when it is empty, too long or not printable.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= NAME_CHARACTERS:
        raise BadInput(f"a partner's name has 1 to {NAME_CHARACTERS} characters; this one has {len(name)}")
    if not name.isprintable():
        raise BadInput(f"the name {shown(name)} holds characters that cannot be printed")
    return name


def _check_open(roles: Sequence[RoleName], open_: bool) -> None:
    if open_ and all(role.role is not Role.EVSE_OPERATOR for role in roles):
        raise BadInput("only an EVSE_OPERATOR can be open", "leave it away, or grant the role EVSE_OPERATOR")


def _details(name: RoleName, open_: bool | None = None) -> dict[str, Any]:
    details = {"role": name.role, "partyId": name.party_id}
    return details | {"open": open_} if name.role is Role.EVSE_OPERATOR else details


def _entry(action: str, partner_id: UUID, details: dict[str, Any]) -> Entry:
    return Entry(action, "partner", partner_id, frozenset({partner_id}), details)
