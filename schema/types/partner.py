"""Partners, roles, keys, contracts, the audit log, refusals."""

from typing import Any

import strawberry
from sqlalchemy import ColumnElement, FromClause, and_, func, null, or_, select
from strawberry.scalars import JSON

from app.db.tables import api_key, contract, partner, partner_role
from app.vocabulary import ContractStatus as Status
from schema.field import column, to_many, to_one
from schema.scalars import DateTime, PartyId
from schema.types.common import ContractStatus, Role

#: A role together with the name of its partner: what the sides of a contract may know of each other.
contract_party = (
    select(partner_role.c.id, partner_role.c.partner_id, partner.c.name, partner_role.c.role, partner_role.c.party_id)
    .join_from(partner_role, partner)
    .subquery("contract_party")
)


Value = ColumnElement[Any]


def _held_by(role: FromClause, partner_id: Value) -> ColumnElement[bool]:
    return and_(role.c.partner_id == partner_id, role.c.revoked_at.is_(None))


def _key_of(key: FromClause, partner_id: Value) -> ColumnElement[bool]:
    return key.c.partner_id == partner_id


def _is_side(party: FromClause, first_role_id: Value, second_role_id: Value) -> ColumnElement[bool]:
    return party.c.id.in_([first_role_id, second_role_id])


def is_set(value: object) -> bool:
    return value is not None


@strawberry.type(description="A role that a partner holds.")
class PartnerRole:
    role: Role = column(description="What the partner does.")
    party_id: PartyId | None = column(description="Its id in this role; null for NSP and ADMINISTRATOR.")


@strawberry.type(description="A key that acts in one role. Its secret is shown once, when it is issued.")
class ApiKey:
    id: strawberry.ID = column(description="Id of the key, not its secret.")
    prefix: str = column(description="First characters of the secret, to tell keys apart.")
    role: PartnerRole = to_one(
        partner_role, "The role it acts in.", parent_columns=("role_id",), columns=("id",), visible_with_parent=True
    )
    created_at: DateTime = column(description="When it was issued.")
    expires_at: DateTime | None = column(description="When it stops working; null: never.")
    revoked_at: DateTime | None = column(description="When it was revoked; null: it was not.")


@strawberry.type(description="A party that takes part in the exchange.")
class Partner:
    id: strawberry.ID = column(description="Id of the partner.")
    name: str = column(description="Name of the partner.")
    suspended: bool = column(
        "suspended_at", shape=is_set, sees_null=True, description="True: its keys and contracts rest."
    )
    roles: list[PartnerRole] = to_many(
        partner_role,
        "The roles it holds.",
        parent_columns=("id",),
        on=_held_by,
        order=("id",),
    )
    api_keys: list[ApiKey] = to_many(
        api_key,
        "Its keys, revoked and expired ones too.",
        parent_columns=("id",),
        on=_key_of,
        order=("created_at", "id"),
    )
    last_upload_at: DateTime | None = column(description="When it last published something; null: never.")


@strawberry.type(description="One side of a contract: a partner in one of its roles.")
class ContractParty:
    partner_id: strawberry.ID = column(description="Id of the partner.")
    name: str = column(description="Name of the partner.")
    role: Role = column(description="The role in which it is party to the contract.")
    party_id: PartyId | None = column(description="Its id in this role; null for NSP and ADMINISTRATOR.")


@strawberry.type(
    description="A roaming connection between two roles: EVSP-operator, NSP-operator, NSP-EVSP or PSO-operator. "
    "Who sees what follows the contracts in force."
)
class Contract:
    id: strawberry.ID = column(description="Id of the contract.")
    parties: list[ContractParty] = to_many(
        contract_party,
        "Its two sides.",
        parent_columns=("first_role_id", "second_role_id"),
        on=_is_side,
        order=("id",),
        visible_with_parent=True,
    )
    status: ContractStatus = column(description="Where it stands.")
    proposed_by: ContractParty = to_one(
        contract_party, "The side that proposed it.", ("proposed_by_role_id",), ("id",), visible_with_parent=True
    )
    valid_from: DateTime | None = column(description="In force from then on; null: no bound.")
    valid_until: DateTime | None = column(description="In force until then; null: no bound.")
    updated_at: DateTime = column(description="When it last changed.")


def _in_force(row: FromClause, role_id: Value) -> ColumnElement[bool]:
    """Return the condition of the view `contract_in_force`, by which visibility is decided, for a contract."""
    c = row.c
    sides = partner.alias()
    resting = select(sides.c.id).where(
        sides.c.id.in_([c.first_partner_id, c.second_partner_id]), sides.c.suspended_at.is_not(None)
    )
    return and_(
        or_(c.first_role_id == role_id, c.second_role_id == role_id),
        c.status == Status.ACTIVE.value,
        or_(c.valid_from == null(), c.valid_from <= func.now()),
        or_(c.valid_until == null(), c.valid_until > func.now()),
        ~resting.correlate(row).exists(),
    )


@strawberry.type(description="The caller: one partner in one of its roles.")
class Caller:
    role: Role = column(description="The role of the key.")
    party_id: PartyId | None = column(description="The id in this role; null for NSP and ADMINISTRATOR.")
    partner: Partner = to_one(
        partner, "The partner behind the key.", ("partner_id",), ("id",), visible_with_parent=True
    )
    contracts: list[Contract] = to_many(
        contract, "The contracts of this role that are in force now.", ("id",), _in_force, ("created_at", "id")
    )


@strawberry.type(name="Audit", description="Something that was done, and by whom. Append-only.")
class AuditEntry:
    id: strawberry.ID = column(shape=str, description="Number of the entry; later entries have higher ones.")
    at: DateTime = column(description="When it was done.")
    action: str = column(description="What was done, e.g. contract.accepted.")
    subject: str = column(description="Kind of thing it was done to, e.g. contract.")
    subject_id: str = column(description="Id of that thing.")
    by: ContractParty | None = to_one(
        contract_party,
        "Who did it; null: the clearing house operator at the hub's console.",
        ("actor_role_id",),
        ("id",),
        visible_with_parent=True,
        optional=True,
    )
    details: JSON = column(description="What changed, as JSON.")


@strawberry.type(name="KeptRefusal", description="Why one item of an earlier upload stayed out.")
class KeptRefusal:
    id: strawberry.ID = column(shape=str, description="Number of the refusal.")
    at: DateTime = column(description="When it was refused.")
    operation: str = column(description="The mutation it came with.")
    path: str = column(description="Where in the upload, e.g. chargePoints[3].position.")
    index: int = column(description="Which item of the list, from 0.")
    item_id: str | None = column(description="Id of the item as sent; null: it had none that could be read.")
    code: str = column(description="Why, as a stable code.")
    message: str = column(description="Why, as a sentence.")
