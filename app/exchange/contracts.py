"""Contracts (the protocol's roaming connections) between roles of partners.

One side proposes; it is in force once the other side accepts or the administrator sets it. What may follow what is in
TRANSITIONS; declined and ended are final, and a new proposal may follow. A side is a role, not a partner: a key acts
for the contracts of its own role. Every command gives the contract's id.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from app.auth import Caller
from app.db.engine import Connection, Database
from app.errors import BadInput, Forbidden
from app.exchange.actor import Actor, not_found, require_administrator, shown_role, write_as
from app.exchange.audit import Entry, record
from app.exchange.roles import HeldRole, Party, RoleName, held_role, lock_role
from app.exchange.transitions import Table, Transition, move, states_before
from app.vocabulary import ContractStatus, Role


class Event(StrEnum):
    PROPOSE = "propose"
    SET = "set"
    ACCEPT = "accept"
    DECLINE = "decline"
    SUSPEND = "suspend"
    RESUME = "resume"
    END = "end"


class Part(StrEnum):
    """What somebody is to a contract."""

    PROPOSER = "the side that proposed it"
    ANSWERER = "the side it was proposed to"
    SUSPENDER = "the side that suspended it"
    ADMINISTRATOR = "the administrator"


SIDES = (Part.PROPOSER, Part.ANSWERER, Part.ADMINISTRATOR)
ANSWER = (Part.ANSWERER, Part.ADMINISTRATOR)

TRANSITIONS: Table = {
    (None, Event.PROPOSE): Transition(ContractStatus.PROPOSED, (Part.PROPOSER,)),
    (None, Event.SET): Transition(ContractStatus.ACTIVE, (Part.ADMINISTRATOR,)),
    (ContractStatus.PROPOSED, Event.SET): Transition(ContractStatus.ACTIVE, (Part.ADMINISTRATOR,)),
    (ContractStatus.PROPOSED, Event.ACCEPT): Transition(ContractStatus.ACTIVE, ANSWER),
    (ContractStatus.PROPOSED, Event.DECLINE): Transition(ContractStatus.DECLINED, ANSWER),
    (ContractStatus.PROPOSED, Event.END): Transition(ContractStatus.ENDED, SIDES),
    (ContractStatus.ACTIVE, Event.SUSPEND): Transition(ContractStatus.SUSPENDED, SIDES),
    (ContractStatus.ACTIVE, Event.END): Transition(ContractStatus.ENDED, SIDES),
    (ContractStatus.SUSPENDED, Event.RESUME): Transition(ContractStatus.ACTIVE, (Part.SUSPENDER, Part.ADMINISTRATOR)),
    (ContractStatus.SUSPENDED, Event.END): Transition(ContractStatus.ENDED, SIDES),
}

#: Which roles may have a contract with each other.
PAIRS = (
    frozenset({Role.EVSP, Role.EVSE_OPERATOR}),
    frozenset({Role.NSP, Role.EVSE_OPERATOR}),
    frozenset({Role.NSP, Role.EVSP}),
    frozenset({Role.PSO, Role.EVSE_OPERATOR}),
)
PAIRS_IN_WORDS = "EVSP and EVSE_OPERATOR, NSP and EVSE_OPERATOR, NSP and EVSP, PSO and EVSE_OPERATOR"


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract and its two sides. Instants are UTC; in force from `valid_from` until before `valid_until`."""

    id: UUID
    first: HeldRole
    second: HeldRole
    proposed_by_role_id: int
    status: ContractStatus
    suspended_by_role_id: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    updated_at: datetime

    def __str__(self) -> str:
        return f"{self.first} and {self.second}"

    @property
    def partner_ids(self) -> frozenset[UUID]:
        return frozenset({self.first.partner_id, self.second.partner_id})


def is_pair(one: Role, other: Role) -> bool:
    """Say whether two roles may have a contract."""
    return frozenset({one, other}) in PAIRS


async def propose_contract(database: Database, actor: Actor, proposer: Party, other: Party, now: datetime) -> UUID:
    """Propose a contract; from the administrator it is in force at once.

    The other side must be named in full (partner, role, party id): whatever of it is wrong gives the same NotFound, so
    that proposing tells nothing about partners whose id one was not given.

    Raises: BadInput for roles that have no contracts; Forbidden for a proposal in another's name; NotFound; NotPossible
    when the two have an open contract already.
    """
    if not isinstance(actor, Caller) or actor.is_administrator:
        return await set_contract(database, actor, proposer, other, now)
    _require_pair(proposer, other)
    if (proposer.partner_id, proposer.name) != (actor.partner_id, RoleName(actor.role, actor.party_id)):
        raise Forbidden(
            f"{proposer} cannot propose with this key; it acts as {shown_role(actor)} of partner {actor.partner_id}",
            "a key proposes in its own role only",
        )
    return await _open(database, actor, proposer, other, Event.PROPOSE, now, since=None)


async def set_contract(
    database: Database, actor: Actor, one: Party, other: Party, now: datetime, since: datetime | None = None
) -> UUID:
    """Put a contract in force, at once or from `since`; administrator only. One that is proposed counts as accepted.

    Raises: Forbidden; BadInput for roles that have no contracts; NotFound; NotPossible when it is active or suspended.
    """
    require_administrator(actor, "set contract")
    _require_pair(one, other)
    return await _open(database, actor, one, other, Event.SET, now, since)


async def accept_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Accept what the other side proposed: in force from now."""
    return await _change(database, actor, contract_id, Event.ACCEPT, now)


async def decline_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Decline what the other side proposed."""
    return await _change(database, actor, contract_id, Event.DECLINE, now)


async def suspend_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Suspend a contract in force; either side may, and then only that side or the administrator resumes it."""
    return await _change(database, actor, contract_id, Event.SUSPEND, now)


async def resume_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Put a suspended contract in force again."""
    return await _change(database, actor, contract_id, Event.RESUME, now)


async def end_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """End a contract for good, or withdraw a proposal; either side may."""
    return await _change(database, actor, contract_id, Event.END, now)


async def end_contracts_of(connection: Connection, actor: Actor, role: HeldRole, now: datetime, reason: str) -> None:
    """End every contract of a role that is going, in the caller's transaction."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        update contract
        set status = $3, updated_at = $2, suspended_by_role_id = null,
            valid_until = case when valid_from is not null then greatest(valid_from, $2) end
        where $1 in (first_role_id, second_role_id) and status = any($4)
        returning id, first_partner_id, second_partner_id
        """,
        role.id,
        now,
        ContractStatus.ENDED.value,
        states_before(TRANSITIONS, Event.END),
    )
    entries = [Entry("endContract", "contract", row[0], frozenset(row[1:]), {"because": reason}) for row in rows]
    await record(connection, actor, now, entries)


async def list_contracts(
    database: Database, actor: Actor, statuses: Iterable[ContractStatus] = tuple(ContractStatus)
) -> tuple[Contract, ...]:
    """List the contracts the actor may see, the latest change first."""
    rows = await database.fetch_private(
        actor.partner_id,
        actor.is_administrator,
        f"{CONTRACT} where contract.status = any($1) order by contract.updated_at desc, contract.id",
        [status.value for status in statuses],
    )
    return tuple(_contract(row) for row in rows)


async def _open(
    database: Database, actor: Actor, one: Party, other: Party, event: Event, now: datetime, since: datetime | None
) -> UUID:
    """Bring a pair's contract about, or move the one that stands; again when somebody else was quicker."""

    async def work(connection: Connection) -> UUID:
        proposer, answerer = await _get_side(connection, one), await _get_side(connection, other)
        moved = None
        while moved is None:
            standing = await _find_open(connection, proposer, answerer)
            if standing is None:
                moved = await _insert(connection, actor, proposer, answerer, event, now, since)
            else:
                moved = await _move(connection, actor, standing, event, now, since)
        return moved

    return await write_as(database, actor, work)


async def _change(database: Database, actor: Actor, contract_id: UUID, event: Event, now: datetime) -> UUID:
    """Move a contract; judged again when somebody else was quicker."""

    async def work(connection: Connection) -> UUID:
        moved = None
        while moved is None:
            contract = await _get(connection, contract_id)
            moved = await _move(connection, actor, contract, event, now)
        return moved

    return await write_as(database, actor, work)


async def _insert(
    connection: Connection,
    actor: Actor,
    proposer: HeldRole,
    answerer: HeldRole,
    event: Event,
    now: datetime,
    since: datetime | None,
) -> UUID | None:
    """Insert a contract of a pair without an open one; None when there is one by now."""
    parts = {Part.ADMINISTRATOR if actor.is_administrator else Part.PROPOSER}
    status = ContractStatus(move(TRANSITIONS, None, event, parts))
    valid_from = (since or now) if status is ContractStatus.ACTIVE else None
    first, second = sorted((proposer, answerer), key=lambda role: role.id)
    contract_id: UUID | None = await connection.fetchval(
        """
        insert into contract (first_role_id, first_partner_id, second_role_id, second_partner_id,
            proposed_by_role_id, status, valid_from, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
        on conflict (first_role_id, second_role_id) where status in ('PROPOSED', 'ACTIVE', 'SUSPENDED') do nothing
        returning id
        """,
        first.id,
        first.partner_id,
        second.id,
        second.partner_id,
        proposer.id,
        status.value,
        valid_from,
        now,
    )
    if contract_id is not None:
        contract = Contract(contract_id, first, second, proposer.id, status, None, valid_from, None, now)
        await record(connection, actor, now, [_entry(event, None, contract)])
    return contract_id


async def _move(
    connection: Connection,
    actor: Actor,
    contract: Contract,
    event: Event,
    now: datetime,
    since: datetime | None = None,
) -> UUID | None:
    """Move a contract from the state it was read in; None when it is in another one by now."""
    parts = _parts(contract, actor)
    status = ContractStatus(move(TRANSITIONS, contract.status, event, parts, hint=f"it is contract {contract.id}"))
    after = _after(contract, status, actor, now, since)
    moved = await connection.fetchval(
        """
        update contract
        set status = $4, suspended_by_role_id = $5, valid_from = $6, valid_until = $7, updated_at = $8
        where id = $1 and status = $2 and suspended_by_role_id is not distinct from $3
        returning id
        """,
        contract.id,
        contract.status.value,
        contract.suspended_by_role_id,
        after.status.value,
        after.suspended_by_role_id,
        after.valid_from,
        after.valid_until,
        now,
    )
    if moved is not None:
        await record(connection, actor, now, [_entry(event, contract.status, after)])
    return moved


def _after(contract: Contract, status: ContractStatus, actor: Actor, now: datetime, since: datetime | None) -> Contract:
    """Give what a contract becomes. One that ends before its validity began was never in force."""
    valid_from, valid_until = contract.valid_from, contract.valid_until
    if status is ContractStatus.ACTIVE and valid_from is None:
        valid_from = since or now
    if status is ContractStatus.ENDED and valid_from is not None:
        valid_until = max(valid_from, now)
    suspender = actor.role_id if status is ContractStatus.SUSPENDED and not actor.is_administrator else None
    return replace(
        contract, status=status, suspended_by_role_id=suspender, valid_from=valid_from, valid_until=valid_until
    )


def _parts(contract: Contract, actor: Actor) -> frozenset[Part]:
    """Say what the actor is to a contract.

    Raises: Forbidden for a key of another role of a partner that may see the contract.
    """
    if actor.is_administrator:
        return frozenset({Part.ADMINISTRATOR})
    if actor.role_id not in (contract.first.id, contract.second.id):
        raise Forbidden(
            f"this contract is between {contract}; this key acts as {shown_role(actor)}",
            "use a key of the role that the contract is about",
        )
    part = Part.PROPOSER if actor.role_id == contract.proposed_by_role_id else Part.ANSWERER
    return frozenset({part, Part.SUSPENDER} if actor.role_id == contract.suspended_by_role_id else {part})


def _require_pair(one: Party, other: Party) -> None:
    if not is_pair(one.name.role, other.name.role):
        raise BadInput(
            f"there are no contracts between {one.name.role.value} and {other.name.role.value}",
            f"there are between {PAIRS_IN_WORDS}",
        )


def _entry(event: Event, before: ContractStatus | None, after: Contract) -> Entry:
    details = {
        "from": before,
        "to": after.status,
        "parties": [str(after.first), str(after.second)],
        "validFrom": after.valid_from,
        "validUntil": after.valid_until,
    }
    return Entry(f"{event.value}Contract", "contract", after.id, after.partner_ids, details)


# Reading -------------------------------------------------------------------------------------------------------------

CONTRACT = """
select contract.id, contract.proposed_by_role_id, contract.status, contract.suspended_by_role_id,
    contract.valid_from, contract.valid_until, contract.updated_at,
    first_role.id, first_role.partner_id, first_partner.name, first_role.role, first_role.party_id,
    second_role.id, second_role.partner_id, second_partner.name, second_role.role, second_role.party_id
from contract
join partner_role as first_role on first_role.id = first_role_id
join partner as first_partner on first_partner.id = first_partner_id
join partner_role as second_role on second_role.id = second_role_id
join partner as second_partner on second_partner.id = second_partner_id
"""


def _contract(row: asyncpg.Record) -> Contract:
    id_, proposed_by, status, suspended_by, valid_from, valid_until, updated_at, *sides = row
    return Contract(
        id_,
        held_role(*sides[:5]),
        held_role(*sides[5:]),
        proposed_by,
        ContractStatus(status),
        suspended_by,
        valid_from,
        valid_until,
        updated_at,
    )


async def _get(connection: Connection, contract_id: UUID) -> Contract:
    row = await connection.fetchrow(f"{CONTRACT} where contract.id = $1", contract_id)
    if row is None:
        raise not_found("contract", contract_id)
    return _contract(row)


async def _find_open(connection: Connection, one: HeldRole, other: HeldRole) -> Contract | None:
    row = await connection.fetchrow(
        f"{CONTRACT} where first_role_id = $1 and second_role_id = $2 and status = any($3)",
        min(one.id, other.id),
        max(one.id, other.id),
        states_before(TRANSITIONS, Event.END),
    )
    return None if row is None else _contract(row)


async def _get_side(connection: Connection, party: Party) -> HeldRole:
    role = await lock_role(connection, party, "share")
    if role is None:
        raise not_found("role", party)
    return role
