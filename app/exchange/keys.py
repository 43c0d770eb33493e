"""Keys: secrets that act in one role of a partner. Only the hash is stored; the secret is shown once, when issued."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from app.auth import Caller, hash_secret, new_secret, shown_prefix
from app.db.engine import Connection, Database
from app.errors import BadInput, HubError, Unauthenticated
from app.exchange.actor import Actor, not_found, read_as, require_administrator, write_as
from app.exchange.audit import Entry, record
from app.exchange.roles import ROLE_COLUMNS, HeldRole, Party, RoleName, held_role, lock_role
from app.exchange.workflow import NotPossible

#: Two, so that a partner can start to use a new key before the old one is revoked.
LIVE_KEYS_PER_ROLE = 2

#: Of a key that is issued without an expiry.
LIFETIME = timedelta(days=365)


class TooManyKeys(HubError):
    """A role has two valid keys already."""

    code = "TOO_MANY_KEYS"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which cannot be shown again."""

    id: UUID
    role: RoleName
    secret: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret, of which `prefix` is the beginning."""

    id: UUID
    role: HeldRole
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


async def issue_key(
    database: Database, actor: Actor, party: Party, expires_at: datetime | None, now: datetime
) -> IssuedKey:
    """Issue a key for a role; without `expires_at` it expires in a year. Administrator only.

    Raises: Forbidden; BadInput when it would have expired already; NotFound; TooManyKeys.
    """
    require_administrator(actor, "issue key")

    async def work(connection: Connection) -> IssuedKey:
        role = await lock_role(connection, party, "no key update")
        if role is None:
            raise not_found("role", party)
        live = await _live_keys(connection, role.id, now)
        if len(live) >= LIVE_KEYS_PER_ROLE:
            shown = " and ".join(f"{prefix}... ({key_id})" for key_id, prefix in live.items())
            raise TooManyKeys(f"{role} has {len(live)} live keys already: {shown}", "revoke one of them first")
        return await insert_key(connection, actor, role, expires_at, now, "issueApiKey")

    return await write_as(database, actor, work)


async def rotate_key(database: Database, caller: Caller, expires_at: datetime | None, now: datetime) -> IssuedKey:
    """Issue a new key for the caller's role.

    The key used for the call stays valid, so that the caller can start to use the new one; any other live key of the
    role is revoked. After a lost response the caller rotates again; rotating with the new key revokes the old one.

    Raises: BadInput when the key would have expired already; Unauthenticated when the key used was revoked meanwhile.
    """
    party = Party(caller.partner_id, RoleName(caller.role, caller.party_id))

    async def work(connection: Connection) -> IssuedKey:
        role = await lock_role(connection, party, "no key update")
        live = {} if role is None else await _live_keys(connection, role.id, now)
        if role is None or caller.key_id not in live:
            raise Unauthenticated("this key is expired or revoked", "ask the clearing house operator for a key")
        others = [key_id for key_id in live if key_id != caller.key_id]
        await _revoke(connection, caller, others, now, "rotateApiKey")
        return await insert_key(connection, caller, role, expires_at, now, "rotateApiKey")

    return await write_as(database, caller, work)


async def revoke_key(database: Database, actor: Actor, key_id: UUID, now: datetime) -> UUID:
    """Revoke a key for good. Administrator only: a partner rotates instead.

    Raises: Forbidden; NotFound; NotPossible when it is revoked already.
    """
    require_administrator(actor, "revoke key")

    async def work(connection: Connection) -> UUID:
        if not await _revoke(connection, actor, [key_id], now, "revokeApiKey"):
            if await connection.fetchval("select id from api_key where id = $1", key_id) is None:
                raise not_found("key", key_id)
            raise NotPossible("revoke is not possible while revoked; possible: nothing")
        return key_id

    return await write_as(database, actor, work)


async def list_keys(database: Database, actor: Actor, partner_id: UUID | None = None) -> tuple[Key, ...]:
    """List the keys the actor may see, of one partner or of all, oldest first."""
    rows = await read_as(
        database,
        actor,
        f"""
        select api_key.id, prefix, api_key.created_at, expires_at, api_key.revoked_at, {ROLE_COLUMNS}
        from api_key
        join partner_role on partner_role.id = api_key.role_id
        join partner on partner.id = api_key.partner_id
        where $1::uuid is null or api_key.partner_id = $1
        order by api_key.created_at, api_key.id
        """,
        partner_id,
    )
    return tuple(_key(row) for row in rows)


def _key(row: asyncpg.Record) -> Key:
    id_, prefix, created_at, expires_at, revoked_at, *role = row
    return Key(id_, held_role(*role), prefix, created_at, expires_at, revoked_at)


async def insert_key(
    connection: Connection, actor: Actor, role: HeldRole, expires_at: datetime | None, now: datetime, action: str
) -> IssuedKey:
    """Insert a key in the caller's transaction, which has locked the role and counted its keys."""
    expires_at = expires_at or now + LIFETIME
    if expires_at <= now:
        raise BadInput(f"a key that expires at {expires_at.isoformat()} is of no use at {now.isoformat()}")
    secret = new_secret()
    key_id: UUID = await connection.fetchval(
        """
        insert into api_key (role_id, partner_id, prefix, secret_hash, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6) returning id
        """,
        role.id,
        role.partner_id,
        shown_prefix(secret),
        hash_secret(secret),
        now,
        expires_at,
    )
    details = {"role": str(role.name), "prefix": shown_prefix(secret), "expiresAt": expires_at}
    entry = Entry(action, "apiKey", key_id, frozenset({role.partner_id}), details)
    await record(connection, actor, now, [entry])
    return IssuedKey(key_id, role.name, secret, expires_at)


async def revoke_keys_of(connection: Connection, actor: Actor, role: HeldRole, now: datetime, reason: str) -> None:
    """Revoke every key of a role that is revoked, in the caller's transaction."""
    rows = await connection.fetch("select id from api_key where role_id = $1 and revoked_at is null", role.id)
    await _revoke(connection, actor, [row["id"] for row in rows], now, reason)


async def _live_keys(connection: Connection, role_id: int, now: datetime) -> dict[UUID, str]:
    rows = await connection.fetch(
        """
        select id, prefix from api_key
        where role_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)
        order by created_at, id
        """,
        role_id,
        now,
    )
    return {row["id"]: row["prefix"] for row in rows}


async def _revoke(connection: Connection, actor: Actor, key_ids: list[UUID], now: datetime, reason: str) -> bool:
    """Revoke those of the keys that are live. Return whether there were any."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        update api_key set revoked_at = $2 where id = any($1) and revoked_at is null
        returning id, partner_id, prefix
        """,
        key_ids,
        now,
    )
    entries = [
        Entry("revokeApiKey", "apiKey", id_, frozenset({partner_id}), {"prefix": prefix, "because": reason})
        for id_, partner_id, prefix in rows
    ]
    await record(connection, actor, now, entries)
    return len(rows) > 0
