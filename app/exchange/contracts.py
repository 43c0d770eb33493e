"""Contracts (the protocol's roaming connections) between roles of partners.

One side proposes; it is in force once the other side accepts or the administrator sets it. CONTRACT_WORKFLOW has the
transitions; declined and ended are final, and a new proposal may follow. A side is a role, not a partner: a key acts
for the contracts of its own role. Every command returns the contract's id.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from app.auth import Caller
from app.db.engine import Connection, Database
from app.errors import BadInput, Forbidden
from app.exchange.actor import Actor, not_found, read_as, require_administrator, shown_role, write_as
from app.exchange.audit import Entry, record
from app.exchange.roles import HeldRole, Party, RoleName, held_role, lock_role
from app.exchange.workflow import (
    ADMINISTRATOR,
    Move,
    Transition,
    Workflow,
    advance,
    advance_one,
    next_state,
    record_created,
    states_before,
)
from app.vocabulary import ContractStatus as Status
from app.vocabulary import Role


class Command(StrEnum):
    PROPOSE = "propose"
    SET = "set"
    ACCEPT = "accept"
    DECLINE = "decline"
    SUSPEND = "suspend"
    RESUME = "resume"
    END = "end"


class Part(StrEnum):
    """What an actor is to a contract."""

    PROPOSER = "the side that proposed it"
    ANSWERER = "the side it was proposed to"
    SUSPENDER = "the side that suspended it"
    ADMINISTRATOR = ADMINISTRATOR


SIDES = (Part.PROPOSER, Part.ANSWERER, Part.ADMINISTRATOR)
ANSWER = (Part.ANSWERER, Part.ADMINISTRATOR)

CONTRACT_WORKFLOW = Workflow(
    noun="contract",
    table="contract",
    transitions=(
        Transition(None, Command.PROPOSE, Status.PROPOSED, (Part.PROPOSER,)),
        Transition(None, Command.SET, Status.ACTIVE, (Part.ADMINISTRATOR,)),
        Transition(Status.PROPOSED, Command.SET, Status.ACTIVE, (Part.ADMINISTRATOR,)),
        Transition(Status.PROPOSED, Command.ACCEPT, Status.ACTIVE, ANSWER),
        Transition(Status.PROPOSED, Command.DECLINE, Status.DECLINED, ANSWER),
        Transition(Status.PROPOSED, Command.END, Status.ENDED, SIDES),
        Transition(Status.ACTIVE, Command.SUSPEND, Status.SUSPENDED, SIDES),
        Transition(Status.ACTIVE, Command.END, Status.ENDED, SIDES),
        Transition(Status.SUSPENDED, Command.RESUME, Status.ACTIVE, (Part.SUSPENDER, Part.ADMINISTRATOR)),
        Transition(Status.SUSPENDED, Command.END, Status.ENDED, SIDES),
    ),
    parts=(
        (Part.PROPOSER, "proposed_by_role_id"),
        (Part.ANSWERER, "first_role_id + second_role_id - proposed_by_role_id"),
        (Part.SUSPENDER, "suspended_by_role_id"),
    ),
    # `suspended_by_role_id` is null where an administrator suspended the contract: an administrator is never a side. A
    # contract that ends before its validity began was never in force.
    assignments="""
        updated_at = step.at,
        suspended_by_role_id = case
            when step.to_state = 'SUSPENDED' and step.actor_role_id in (subject.first_role_id, subject.second_role_id)
            then step.actor_role_id
        end,
        valid_from = case when step.to_state = 'ACTIVE' then coalesce(subject.valid_from, step.at)
            else subject.valid_from end,
        valid_until = case when step.to_state = 'ENDED' and subject.valid_from is not null
            then greatest(subject.valid_from, step.at) else subject.valid_until end
    """,
)
OPEN = states_before(CONTRACT_WORKFLOW.transitions, Command.END)

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
    status: Status
    valid_from: datetime | None
    valid_until: datetime | None
    updated_at: datetime

    def __str__(self) -> str:
        return f"{self.first} and {self.second}"

    @property
    def partner_ids(self) -> frozenset[UUID]:
        return frozenset({self.first.partner_id, self.second.partner_id})


def is_pair(one: Role, other: Role) -> bool:
    """Return whether two roles may have a contract."""
    return frozenset({one, other}) in PAIRS


async def propose_contract(database: Database, actor: Actor, proposer: Party, other: Party, now: datetime) -> UUID:
    """Propose a contract; from the administrator it is in force at once.

    The other side must be named in full (partner, role, party id). Whichever part is wrong, the error is the same
    NotFound, so that a proposal reveals nothing about partners.

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
    return await _open(database, actor, proposer, other, Command.PROPOSE, now, since=None)


async def set_contract(
    database: Database, actor: Actor, one: Party, other: Party, now: datetime, since: datetime | None = None
) -> UUID:
    """Activate a contract, at once or from `since`; administrator only. A proposed one counts as accepted.

    Raises: Forbidden; BadInput for roles that have no contracts; NotFound; NotPossible when it is active or suspended.
    """
    require_administrator(actor, "set contract")
    _require_pair(one, other)
    return await _open(database, actor, one, other, Command.SET, now, since)


async def accept_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Accept a proposal of the other side: the contract is active from now."""
    return await _change(database, actor, contract_id, Command.ACCEPT, now)


async def decline_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Decline a proposal of the other side."""
    return await _change(database, actor, contract_id, Command.DECLINE, now)


async def suspend_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Suspend an active contract; either side may, and then only that side or the administrator resumes it."""
    return await _change(database, actor, contract_id, Command.SUSPEND, now)


async def resume_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """Activate a suspended contract again."""
    return await _change(database, actor, contract_id, Command.RESUME, now)


async def end_contract(database: Database, actor: Actor, contract_id: UUID, now: datetime) -> UUID:
    """End a contract for good, or withdraw a proposal; either side may."""
    return await _change(database, actor, contract_id, Command.END, now)


async def end_contracts_of(connection: Connection, actor: Actor, role: HeldRole, now: datetime, reason: str) -> None:
    """End every contract of a role that is revoked, in the caller's transaction."""
    rows = await connection.fetch(
        "select id from contract where $1 in (first_role_id, second_role_id) and status = any($2)", role.id, OPEN
    )
    moves = [Move(row["id"], Command.END, reason) for row in rows]
    advanced = await advance(connection, CONTRACT_WORKFLOW, moves, actor, now)
    ended = await connection.fetch(
        "select id, first_partner_id, second_partner_id from contract where id = any($1)",
        [moved.key for moved in advanced.moved],
    )
    entries = [Entry("endContract", "contract", row[0], frozenset(row[1:]), {"because": reason}) for row in ended]
    await record(connection, actor, now, entries)


async def list_contracts(
    database: Database, actor: Actor, statuses: Iterable[Status] = tuple(Status)
) -> tuple[Contract, ...]:
    """List the contracts the actor may see, the latest change first."""
    rows = await read_as(
        database,
        actor,
        f"{CONTRACT} where contract.status = any($1) order by contract.updated_at desc, contract.id",
        [status.value for status in statuses],
    )
    return tuple(_contract(row) for row in rows)


async def _open(
    database: Database, actor: Actor, one: Party, other: Party, command: Command, now: datetime, since: datetime | None
) -> UUID:
    """Insert a pair's contract, or move its open one; again while other transactions insert or end it first."""

    async def work(connection: Connection) -> UUID:
        proposer, answerer = await _get_side(connection, one), await _get_side(connection, other)
        if not actor.is_administrator and proposer.id != actor.role_id:
            raise not_found("role", one)  # revoked since the key was verified, and granted again as another one
        contract_id = None
        while contract_id is None:
            standing = await _lock_open(connection, proposer, answerer)
            if standing is not None:
                return await _move(connection, actor, standing, command, now, since)
            contract_id = await _insert(connection, actor, proposer, answerer, command, now, since)
        return contract_id

    return await write_as(database, actor, work)


async def _change(database: Database, actor: Actor, contract_id: UUID, command: Command, now: datetime) -> UUID:
    return await write_as(database, actor, lambda connection: _move(connection, actor, contract_id, command, now))


async def _insert(
    connection: Connection,
    actor: Actor,
    proposer: HeldRole,
    answerer: HeldRole,
    command: Command,
    now: datetime,
    since: datetime | None,
) -> UUID | None:
    """Insert a contract of a pair without an open one. Return None when another transaction inserted one first."""
    part = Part.ADMINISTRATOR if actor.is_administrator else Part.PROPOSER
    status = Status(next_state(CONTRACT_WORKFLOW.transitions, None, command, {part}))
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
        (since or now) if status is Status.ACTIVE else None,
        now,
    )
    if contract_id is not None:
        await record_created(connection, CONTRACT_WORKFLOW, [Move(contract_id, command)], actor, now)
        await _audit(connection, actor, command, None, contract_id, now)
    return contract_id


async def _move(
    connection: Connection,
    actor: Actor,
    contract_id: UUID,
    command: Command,
    now: datetime,
    since: datetime | None = None,
) -> UUID:
    """Move a contract. `since`: the begin of its validity, where it has none yet.

    Raises: NotFound; Forbidden for a key of another role of a partner that may see the contract; NotPossible.
    """
    _require_side(await _get(connection, contract_id), actor)
    moved = await advance_one(connection, CONTRACT_WORKFLOW, Move(contract_id, command), actor, now)
    if since is not None:
        await connection.execute("update contract set valid_from = $2 where id = $1", contract_id, since)
    await _audit(connection, actor, command, moved.before, contract_id, now)
    return contract_id


def _require_side(contract: Contract, actor: Actor) -> None:
    if not actor.is_administrator and actor.role_id not in (contract.first.id, contract.second.id):
        raise Forbidden(
            f"this contract is between {contract}; this key acts as {shown_role(actor)}",
            "use a key of the role that the contract is about",
        )


def _require_pair(one: Party, other: Party) -> None:
    if not is_pair(one.name.role, other.name.role):
        raise BadInput(
            f"there are no contracts between {one.name.role.value} and {other.name.role.value}",
            f"there are between {PAIRS_IN_WORDS}",
        )


async def _audit(
    connection: Connection, actor: Actor, command: Command, before: str | None, contract_id: UUID, now: datetime
) -> None:
    contract = await _get(connection, contract_id)
    details = {
        "from": before,
        "to": contract.status,
        "parties": [str(contract.first), str(contract.second)],
        "validFrom": contract.valid_from,
        "validUntil": contract.valid_until,
    }
    entry = Entry(f"{command.value}Contract", "contract", contract_id, contract.partner_ids, details)
    await record(connection, actor, now, [entry])


# Reading -------------------------------------------------------------------------------------------------------------

CONTRACT = """
select contract.id, contract.proposed_by_role_id, contract.status, contract.valid_from, contract.valid_until,
    contract.updated_at,
    first_role.id, first_role.partner_id, first_partner.name, first_role.role, first_role.party_id,
    second_role.id, second_role.partner_id, second_partner.name, second_role.role, second_role.party_id
from contract
join partner_role as first_role on first_role.id = first_role_id
join partner as first_partner on first_partner.id = first_partner_id
join partner_role as second_role on second_role.id = second_role_id
join partner as second_partner on second_partner.id = second_partner_id
"""


def _contract(row: asyncpg.Record) -> Contract:
    id_, proposed_by, status, valid_from, valid_until, updated_at, *sides = row
    return Contract(
        id_,
        held_role(*sides[:5]),
        held_role(*sides[5:]),
        proposed_by,
        Status(status),
        valid_from,
        valid_until,
        updated_at,
    )


async def _get(connection: Connection, contract_id: UUID) -> Contract:
    row = await connection.fetchrow(f"{CONTRACT} where contract.id = $1", contract_id)
    if row is None:
        raise not_found("contract", contract_id)
    return _contract(row)


async def _lock_open(connection: Connection, one: HeldRole, other: HeldRole) -> UUID | None:
    """Find the open contract of a pair and keep other transactions from moving it."""
    return await connection.fetchval(
        """
        select id from contract where first_role_id = $1 and second_role_id = $2 and status = any($3)
        for no key update
        """,
        min(one.id, other.id),
        max(one.id, other.id),
        OPEN,
    )


async def _get_side(connection: Connection, party: Party) -> HeldRole:
    role = await lock_role(connection, party, "share")
    if role is None:
        raise not_found("role", party)
    return role
