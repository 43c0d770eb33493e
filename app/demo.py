"""Fill a hub with synthetic partners, contracts, charge points, tariffs, sessions and CDRs, all as real ones come."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.auth import Caller
from app.db.engine import Database
from app.demo_billing import Billing, publish_tariffs
from app.demo_charging import charge
from app.demo_stations import OPERATORS, Operator, charge_points
from app.demo_status import push_all
from app.errors import HubError
from app.exchange.actor import CONSOLE
from app.exchange.contracts import list_contracts, set_contract
from app.exchange.keys import IssuedKey
from app.exchange.partners import Partner, enrol_partner, list_partners
from app.exchange.roles import Party, RoleName
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.records.charge_point import ChargePoint
from app.records.charge_point_input import read_charge_point
from app.vocabulary import ContractStatus, Role

NAVIGATION = "Demo Navigation"
PROVIDER = "Demo Mobility"
PARKING = "Demo Parking"

ROLES: Mapping[str, RoleName] = {
    **{operator.name: RoleName(Role.EVSE_OPERATOR, operator.party_id) for operator in OPERATORS},
    NAVIGATION: RoleName(Role.NSP, None),
    PROVIDER: RoleName(Role.EVSP, "DEDMO"),
    PARKING: RoleName(Role.PSO, "DEDPS"),
}

PARTY_IDS = tuple(role.party_id for role in ROLES.values() if role.party_id is not None)

#: The navigation service sees the open operator, three by contract and the fast chargers through the provider, but not
#: Demo Charging South: there is something to see of what visibility does.
CONTRACTS = (
    (NAVIGATION, "Demo Charging Centre"),
    (NAVIGATION, "Demo Charging West"),
    (NAVIGATION, "Demo Charging North"),
    (NAVIGATION, PROVIDER),
    (PROVIDER, "Demo Fast Charging"),
    (PROVIDER, "Demo Charging Centre"),
    (PARKING, "Demo Charging Centre"),
)
#: With whom the provider's tokens are used.
CHARGING = tuple(pair for pair in CONTRACTS if pair[0] == PROVIDER)
#: How long contracts have been in force when the demo begins.
SINCE: Final = timedelta(days=30)


class NotEmpty(HubError):
    """The hub holds data that does not come from the demo."""

    code = "NOT_EMPTY"


@dataclass(frozen=True, slots=True)
class Filled:
    """What is in the hub now. `keys`: those made just now, by the partner's name; empty when all was there before."""

    partner_ids: Mapping[str, UUID]
    keys: Mapping[str, IssuedKey]
    evses: int
    tokens: int
    sessions: int


async def fill(
    database: Database, seed: int, now: datetime, progress: Callable[[str, int], None] | None = None
) -> Filled:
    """Fill an empty hub, or go on where an earlier filling was interrupted; where all is there nothing is done.

    `progress` is called with the name of every operator whose EVSEs are stored, and their number.
    Raises: NotEmpty when there are EVSEs or partners that are not the demo's.
    """
    standing = {partner.name: partner for partner in await list_partners(database, CONSOLE)}
    if await _is_complete(database, standing):
        return Filled(_ids(standing.values()), {}, *await _count(database))
    await _require_ours(database, standing)
    keys = {
        name: (await enrol_partner(database, CONSOLE, name, [role], now, name in OPEN)).keys[0]
        for name, role in ROLES.items()
        if name not in standing
    }
    partners = {partner.name: partner for partner in await list_partners(database, CONSOLE)}
    for operator in OPERATORS:
        evses = await _upload(database, operator, partners[operator.name], seed, now)
        if progress is not None:
            progress(operator.name, evses)
    await push_all(database, PARTY_IDS, seed, now)
    await _set_contracts(database, partners, CHARGING, now)
    await _charge(database, partners, now)
    # Last, for they tell that everything else is there.
    await _set_contracts(database, partners, CONTRACTS, now)
    return Filled(_ids(partners.values()), keys, *await _count(database))


OPEN = frozenset(operator.name for operator in OPERATORS if operator.open)


async def _is_complete(database: Database, standing: Mapping[str, Partner]) -> bool:
    return ROLES.keys() <= standing.keys() and not await _missing_contracts(database)


async def _require_ours(database: Database, standing: Mapping[str, Partner]) -> None:
    ours = [role.party_id for role in ROLES.values() if role.role is Role.EVSE_OPERATOR]
    foreign = await database.fetch(
        "select 1 from evse join operator on operator.no = operator_no where party_id <> all($1) limit 1", ours
    )
    strangers = [
        name
        for name, partner in standing.items()
        if name not in ROLES and any(role.name.role is not Role.ADMINISTRATOR for role in partner.roles)
    ]
    if foreign or strangers:
        what = f"the partner {strangers[0]}" if strangers else "EVSEs"
        raise NotEmpty(
            f"the hub is not empty: it holds {what}, and synthetic data must not stand among real data",
            "fill a hub of its own: another --data-dir, or another database in DATABASE_URL",
        )


async def _upload(database: Database, operator: Operator, partner: Partner, seed: int, now: datetime) -> int:
    owner = Owner(partner.id, partner.roles[0].id, operator.party_id)
    parking_party = ROLES[PARKING].party_id if (PARKING, operator.name) in CONTRACTS else operator.party_id
    sent = charge_points(operator, seed, now, parking_party)
    items = [_checked(index, item) for index, item in enumerate(sent)]
    report = await update_charge_points(database, items, owner, now)
    if report.refused:
        raise AssertionError(f"the demo's own data was refused: {report.refused[0]}")
    return report.accepted + report.unchanged


def _checked(index: int, item: object) -> ChargePoint:
    read = read_charge_point(item, index)
    if not isinstance(read, ChargePoint):
        raise AssertionError(f"the demo's own data was refused: {read[0]}")
    return read


async def _charge(database: Database, partners: Mapping[str, Partner], now: datetime) -> None:
    role = partners[PROVIDER].roles[0]
    provider = Owner(role.partner_id, role.id, ROLES[PROVIDER].party_id or "")
    begun = await database.fetch_private(None, True, _BEGUN, role.id)
    operators = [_caller(partners[operator]) for _, operator in CHARGING]
    day = begun[0][0] + SINCE
    for operator in operators:
        await publish_tariffs(database, operator, provider.party_id, now)
    await charge(database, provider, operators, day, now)
    await Billing(database, _caller(partners[PROVIDER]), operators, day, now).run()


_BEGUN: Final = "select min(valid_from) from contract where $1 in (first_role_id, second_role_id)"


def _caller(partner: Partner) -> Caller:
    """Return a partner as one who acts, without a key of its own."""
    [role] = partner.roles
    return Caller(UUID(int=0), role.id, partner.id, partner.name, role.name.role, role.name.party_id)


async def _set_contracts(
    database: Database, partners: Mapping[str, Partner], pairs: Sequence[tuple[str, str]], now: datetime
) -> None:
    since = now.replace(hour=0, minute=0, second=0, microsecond=0) - SINCE
    for pair in await _missing_contracts(database):
        if pair in pairs:
            one, other = (Party(partners[name].id, ROLES[name]) for name in pair)
            await set_contract(database, CONSOLE, one, other, now, since)


async def _missing_contracts(database: Database) -> list[tuple[str, str]]:
    standing = await list_contracts(database, CONSOLE, [ContractStatus.ACTIVE, ContractStatus.SUSPENDED])
    pairs = {frozenset({contract.first.partner_name, contract.second.partner_name}) for contract in standing}
    return [pair for pair in CONTRACTS if frozenset(pair) not in pairs]


def _ids(partners: Iterable[Partner]) -> Mapping[str, UUID]:
    return {partner.name: partner.id for partner in partners if partner.name in ROLES}


async def _count(database: Database) -> tuple[int, int, int]:
    """Count EVSEs, tokens in force and sessions."""
    [row] = await database.fetch_private(None, True, _COUNT)
    return row[0], row[1], row[2]


_COUNT: Final = """
select (select count(*) from evse), (select count(*) from authorisation where removed_at is null),
    (select count(*) from session)
"""
