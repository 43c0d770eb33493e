"""Partners and roles as typed at the console: PARTNER[:ROLE[:PARTYID]], without the role where only one fits."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from app.errors import BadInput, HubError, NotFound
from app.exchange.contracts import PAIRS_IN_WORDS, is_pair
from app.exchange.partners import Partner
from app.exchange.roles import HeldRole, Party, RoleName, name_role
from app.ids import normalise_party_id, shown
from app.vocabulary import ROLES_WITH_PARTY_ID, Role

ROLES_IN_WORDS = ", ".join(f"{role}:PARTYID" if role in ROLES_WITH_PARTY_ID else role for role in Role)
REFERENCE_IN_WORDS = f"it is named by its whole name or its id; a role may follow it: one of {ROLES_IN_WORDS}"

_REFERENCE = re.compile(
    rf"(?P<partner>.+?)(?::(?P<role>{'|'.join(Role)})(?::(?P<party_id>[^:]*))?)?", re.IGNORECASE | re.DOTALL
)


class Ambiguous(HubError):
    """A name fits several partners or roles."""

    code = "AMBIGUOUS"


@dataclass(frozen=True, slots=True)
class Reference:
    """A partner by name or id, and maybe one of its roles, as typed."""

    partner: str
    role: Role | None
    party_id: str | None

    def means(self, role: HeldRole) -> bool:
        return self.role in (None, role.name.role) and self.party_id in (None, role.name.party_id)


def read_role(text: str) -> RoleName:
    """Read ROLE[:PARTYID] in full, as in EVSP:DE8AC or nsp.

    Raises: BadInput; InvalidId.
    """
    word, party_id = _split_role(text)
    return name_role(word, party_id)


def read_reference(text: str) -> Reference:
    """Read PARTNER[:ROLE[:PARTYID]]; a name may itself hold colons.

    Raises: InvalidId when there is a party id that cannot be read.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise NotFound(f"there is no partner {shown(text)}", REFERENCE_IN_WORDS)
    role, party_id = match["role"], match["party_id"]
    return Reference(
        match["partner"],
        None if role is None else Role(role.upper()),
        None if party_id is None else normalise_party_id(party_id),
    )


def read_role_of(partner: str, text: str | None) -> Reference:
    """Read a partner and, typed apart from it, ROLE[:PARTYID].

    Raises: BadInput; InvalidId.
    """
    if text is None:
        return Reference(partner, None, None)
    role, party_id = _split_role(text)
    return Reference(partner, role, None if party_id is None else normalise_party_id(party_id))


def choose_partner(partners: Iterable[Partner], text: str) -> Partner:
    """Choose the partner with this id, or of this name in any case.

    Raises: NotFound; Ambiguous, with the ids.
    """
    wanted = " ".join(text.split()).casefold()
    chosen = [partner for partner in partners if wanted in (str(partner.id), partner.name.casefold())]
    if not chosen:
        raise NotFound(f"there is no partner {shown(text)}", REFERENCE_IN_WORDS)
    if len(chosen) > 1:
        ids = ", ".join(str(partner.id) for partner in chosen)
        raise Ambiguous(f"{len(chosen)} partners are called {shown(text)}: {ids}", "name it by its id")
    return chosen[0]


def choose_role(partner: Partner, reference: Reference) -> Party:
    """Choose the one role of a partner that fits.

    Raises: NotFound; Ambiguous, with the roles.
    """
    fitting = [role for role in partner.roles if reference.means(role)]
    if not fitting:
        raise NotFound(f"{partner.name} does not hold that role; it holds: {_names(partner.roles)}")
    if len(fitting) > 1:
        raise Ambiguous(f"several roles fit: {_names(fitting)} of {partner.name}", "name one: ROLE or ROLE:PARTYID")
    return party_of_role(fitting[0])


def choose_pair(one: Partner, one_said: Reference, other: Partner, other_said: Reference) -> tuple[Party, Party]:
    """Choose the one pair of two partners' roles that fits and may have a contract.

    Raises: BadInput when there is none; Ambiguous, with the pairs.
    """
    pairs = {
        frozenset({a.id, b.id}): (a, b)
        for a, b in product(one.roles, other.roles)
        if one_said.means(a) and other_said.means(b) and is_pair(a.name.role, b.name.role)
    }
    if not pairs:
        raise BadInput(
            f"no roles of {_with_roles(one)} and {_with_roles(other)} fit each other",
            f"there are contracts between {PAIRS_IN_WORDS}",
        )
    if len(pairs) > 1:
        fitting = "; ".join(f"{a.name} with {b.name}" for a, b in pairs.values())
        raise Ambiguous(
            f"several pairs of roles fit: {fitting}", "name the roles: PARTNER:ROLE or PARTNER:ROLE:PARTYID"
        )
    [(a, b)] = pairs.values()
    return party_of_role(a), party_of_role(b)


def party_of_role(role: HeldRole) -> Party:
    """Name a role that is held."""
    return Party(role.partner_id, role.name)


def _split_role(text: str) -> tuple[Role, str | None]:
    word, colon, party_id = text.partition(":")
    try:
        return Role(word.strip().upper()), party_id if colon else None
    except ValueError:
        raise BadInput(f"{shown(word)} is not a role", f"one of {ROLES_IN_WORDS}") from None


def _names(roles: Sequence[HeldRole]) -> str:
    return ", ".join(str(role.name) for role in roles) or "no role"


def _with_roles(partner: Partner) -> str:
    return f"{partner.name} ({_names(partner.roles)})"
