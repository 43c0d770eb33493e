"""The roles partners hold: how they are named, found and locked."""

from dataclasses import dataclass
from uuid import UUID

from app.db.engine import Connection
from app.errors import BadInput
from app.ids import normalise_party_id
from app.vocabulary import ROLES_WITH_PARTY_ID, Role


@dataclass(frozen=True, slots=True)
class RoleName:
    """A role and, where the role has one, its party id, normalised. Made by `name_role`."""

    role: Role
    party_id: str | None

    def __str__(self) -> str:
        return self.role.value if self.party_id is None else f"{self.role.value} {self.party_id}"


@dataclass(frozen=True, slots=True)
class Party:
    """A side of a contract as the caller names it; there may be no such partner or role."""

    partner_id: UUID
    name: RoleName

    def __str__(self) -> str:
        return f"{self.name} of partner {self.partner_id}"


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role that a partner holds. Contracts and keys belong to it."""

    id: int
    partner_id: UUID
    partner_name: str
    name: RoleName

    def __str__(self) -> str:
        return f"{self.name} of {self.partner_name}"


def name_role(role: Role, party_id: str | None) -> RoleName:
    """Return the name of a role, with the party id normalised.

    Raises: BadInput when the party id is missing, or the role has none; InvalidId when it is malformed.
    """
    if role in ROLES_WITH_PARTY_ID:
        if party_id is None:
            raise BadInput(f"{role.value} needs a party id", "country and 3 letters or digits, like DE8AC")
        return RoleName(role, normalise_party_id(party_id))
    if party_id is not None:
        raise BadInput(f"{role.value} has no party id, so {party_id!r} cannot be one", "leave it away")
    return RoleName(role, None)


ROLE_COLUMNS = "partner_role.id, partner_role.partner_id, partner.name, partner_role.role, partner_role.party_id"


def held_role(id_: int, partner_id: UUID, partner_name: str, role: str, party_id: str | None) -> HeldRole:
    """Make a held role from a row of ROLE_COLUMNS."""
    return HeldRole(id_, partner_id, partner_name, RoleName(Role(role), party_id))


async def lock_role(connection: Connection, party: Party, lock: str) -> HeldRole | None:
    """Find a role that is held now and lock it against revocation until the transaction ends.

    `lock`: `share` to admit other transactions with the same lock, `no key update` to exclude them.
    """
    row = await connection.fetchrow(
        f"""
        select {ROLE_COLUMNS} from partner_role join partner on partner.id = partner_role.partner_id
        where partner_id = $1 and role = $2 and party_id is not distinct from $3 and revoked_at is null
        for {lock} of partner_role
        """,
        party.partner_id,
        party.name.role.value,
        party.name.party_id,
    )
    return None if row is None else held_role(*row)
