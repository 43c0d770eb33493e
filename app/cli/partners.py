"""The commands on partners, keys and contracts, for the clearing house operator at the hub's console.

The root of the commands finds the database and shows errors.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from app.cli.connect import run_with_database
from app.cli.output import Row, as_json_option, print_json, print_table, shown_instant
from app.db.engine import Database
from app.errors import BadInput
from app.exchange.actor import CONSOLE, id_of
from app.exchange.contracts import Contract, end_contract, list_contracts, set_contract
from app.exchange.keys import IssuedKey, Key, issue_key, list_keys, revoke_key
from app.exchange.naming import (
    choose_pair,
    choose_partner,
    choose_role,
    read_reference,
    read_role,
    read_role_of,
)
from app.exchange.partners import (
    Partner,
    enrol_partner,
    list_partners,
    resume_partner,
    suspend_partner,
)
from app.exchange.roles import HeldRole

# Partners ------------------------------------------------------------------------------------------------------------


@click.group
def partner() -> None:
    """Register, list, suspend and resume partners."""


@partner.command("add")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="ROLE[:PARTYID]",
    help="EVSP:PARTYID, EVSE_OPERATOR:PARTYID, PSO:PARTYID, NSP or ADMINISTRATOR; repeat it for several roles.",
)
@click.option("--open", "open_", is_flag=True, help="Everybody may see the EVSEs of this operator, without a contract.")
@as_json_option
def partner_add(name: str, roles: Sequence[str], open_: bool, as_json: bool) -> None:
    """Register the partner NAME and make a key for each of its roles.

    The secrets are shown this once: the hub keeps only their hashes.

    \b
    Example:
      ochub partner add "Stadtwerke Musterstadt" --role EVSE_OPERATOR:DE*8AC --role EVSP:DE-8AC
    """
    names = [read_role(role) for role in roles]
    enrolled = run_with_database(lambda database: enrol_partner(database, CONSOLE, name, names, _now(), open_))
    keys = [_issued_row(key) for key in enrolled.keys]
    if as_json:
        print_json({"partnerId": enrolled.partner_id, "keys": keys})
    else:
        click.echo(f"Partner {enrolled.partner_id} is registered. Its keys, shown this once:")
        print_table(keys, "role", "partyId", "secret", "expiresAt")


@partner.command("list")
@as_json_option
def partner_list(as_json: bool) -> None:
    """List the partners and their roles.

    \b
    Example:
      ochub partner list --json
    """
    partners = run_with_database(lambda database: list_partners(database, CONSOLE))
    rows = [_partner_row(each) for each in partners]
    if as_json:
        print_json(rows)
    else:
        shown = [
            {**row, "roles": ", ".join(str(role.name) for role in p.roles)}
            for row, p in zip(rows, partners, strict=True)
        ]
        print_table(shown, "partnerId", "name", "roles", "suspended")


@partner.command("suspend")
@click.argument("partner", metavar="PARTNER")
@as_json_option
def partner_suspend(partner: str, as_json: bool) -> None:
    """Suspend PARTNER (a name or an id): its keys, contracts and operators count for nothing until it is resumed.

    \b
    Example:
      ochub partner suspend "Stadtwerke Musterstadt"
    """

    async def work(database: Database) -> Partner:
        chosen = await _find_partner(database, partner)
        await suspend_partner(database, CONSOLE, chosen.id, _now())
        return await _find_partner(database, str(chosen.id))

    _print_partner(run_with_database(work), "is suspended", as_json)


@partner.command("resume")
@click.argument("partner", metavar="PARTNER")
@as_json_option
def partner_resume(partner: str, as_json: bool) -> None:
    """Resume PARTNER (a name or an id) as it was before it was suspended.

    \b
    Example:
      ochub partner resume "Stadtwerke Musterstadt"
    """

    async def work(database: Database) -> Partner:
        chosen = await _find_partner(database, partner)
        await resume_partner(database, CONSOLE, chosen.id, _now())
        return await _find_partner(database, str(chosen.id))

    _print_partner(run_with_database(work), "takes part again", as_json)


# Keys ----------------------------------------------------------------------------------------------------------------


@click.group
def key() -> None:
    """Issue, list and revoke the keys of partners."""


@key.command("issue")
@click.argument("partner", metavar="PARTNER")
@click.option("--role", metavar="ROLE[:PARTYID]", help="Which role of PARTNER; needed when it holds several.")
@click.option("--expires", metavar="DATE", help="2027-01-31 or 2027-01-31T12:00:00Z; without it the key lives a year.")
@as_json_option
def key_issue(partner: str, role: str | None, expires: str | None, as_json: bool) -> None:
    """Make a key for a role of PARTNER (a name or an id). The secret is shown this once.

    \b
    Example:
      ochub key issue "Stadtwerke Musterstadt" --role EVSP --expires 2027-01-31
    """
    expires_at = read_instant("--expires", expires)
    reference = read_role_of(partner, role)

    async def work(database: Database) -> IssuedKey:
        party = choose_role(await _find_partner(database, partner), reference)
        return await issue_key(database, CONSOLE, party, expires_at, _now())

    row = _issued_row(run_with_database(work))
    if as_json:
        print_json(row)
    else:
        click.echo("The key, shown this once:")
        print_table([row], "keyId", "role", "partyId", "secret", "expiresAt")


@key.command("list")
@click.argument("partner", metavar="[PARTNER]", required=False)
@as_json_option
def key_list(partner: str | None, as_json: bool) -> None:
    """List the keys of PARTNER (a name or an id), or of all partners, without their secrets.

    \b
    Example:
      ochub key list "Stadtwerke Musterstadt"
    """

    async def work(database: Database) -> Sequence[Key]:
        partner_id = None if partner is None else (await _find_partner(database, partner)).id
        return await list_keys(database, CONSOLE, partner_id)

    now = _now()
    rows = [_key_row(each, now) for each in run_with_database(work)]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, "keyId", "name", "role", "partyId", "prefix", "status", "expiresAt")


@key.command("revoke")
@click.argument("key_id", metavar="KEYID")
@as_json_option
def key_revoke(key_id: str, as_json: bool) -> None:
    """Revoke the key KEYID (see `ochub key list`) for good.

    \b
    Example:
      ochub key revoke 3f2b8c1e-5a77-4d0e-9b1a-0c6d2e4f8a90
    """
    revoked = run_with_database(lambda database: revoke_key(database, CONSOLE, id_of("key", key_id), _now()))
    if as_json:
        print_json({"keyId": revoked})
    else:
        click.echo(f"Key {revoked} is revoked.")


# Contracts -----------------------------------------------------------------------------------------------------------


@click.group
def contract() -> None:
    """Put contracts in force, list and end them."""


@contract.command("add")
@click.argument("one", metavar="PARTNER[:ROLE[:PARTYID]]")
@click.argument("other", metavar="PARTNER[:ROLE[:PARTYID]]")
@click.option("--since", metavar="DATE", help="In force from then on: 2027-01-31 or 2027-01-31T12:00:00Z; default now.")
@as_json_option
def contract_add(one: str, other: str, since: str | None, as_json: bool) -> None:
    """Put a contract between two partners (names or ids) in force.

    Roles may be left out where only one pair of them fits. A contract that one side has proposed counts as accepted.

    \b
    Example:
      ochub contract add "Stadtwerke Musterstadt:EVSE_OPERATOR" "Blue Map" --since 2027-01-01
    """
    valid_from = read_instant("--since", since)
    one_said, other_said = read_reference(one), read_reference(other)

    async def work(database: Database) -> Contract:
        partners = await list_partners(database, CONSOLE)
        sides = choose_partner(partners, one_said.partner), choose_partner(partners, other_said.partner)
        pair = choose_pair(sides[0], one_said, sides[1], other_said)
        contract_id = await set_contract(database, CONSOLE, *pair, now=_now(), since=valid_from)
        [added] = [each for each in await list_contracts(database, CONSOLE) if each.id == contract_id]
        return added

    added = run_with_database(work)
    if as_json:
        print_json(_contract_row(added))
    else:
        click.echo(f"Contract {added.id} between {added} is in force from {shown_instant(added.valid_from)}.")


@contract.command("list")
@as_json_option
def contract_list(as_json: bool) -> None:
    """List the contracts, the latest change first.

    \b
    Example:
      ochub contract list
    """
    contracts = run_with_database(lambda database: list_contracts(database, CONSOLE))
    rows = [_contract_row(each) for each in contracts]
    if as_json:
        print_json(rows)
    else:
        shown = [{**row, "one": each.first, "other": each.second} for row, each in zip(rows, contracts, strict=True)]
        print_table(shown, "contractId", "one", "other", "status", "validFrom", "validUntil")


@contract.command("end")
@click.argument("contract_id", metavar="ID")
@as_json_option
def contract_end(contract_id: str, as_json: bool) -> None:
    """End the contract ID (see `ochub contract list`) for good.

    \b
    Example:
      ochub contract end 9c4e1d2a-7b60-4f83-8a15-d1e0b2c3f4a5
    """
    ended = run_with_database(lambda database: end_contract(database, CONSOLE, id_of("contract", contract_id), _now()))
    if as_json:
        print_json({"contractId": ended})
    else:
        click.echo(f"Contract {ended} is ended.")


# Arguments and rows --------------------------------------------------------------------------------------------------


async def _find_partner(database: Database, text: str) -> Partner:
    return choose_partner(await list_partners(database, CONSOLE), text)


def _now() -> datetime:
    return datetime.now(UTC)


def read_instant(option: str, text: str | None) -> datetime | None:
    """Read a day (its first instant, UTC) or an instant with its offset."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or (instant.tzinfo is None and len(text) != len("2027-01-31")):
        raise BadInput(f"{option} is {text!r}; expected a day like 2027-01-31 or an instant like 2027-01-31T12:00:00Z")
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _role_row(role: HeldRole) -> Row:
    return {
        "partnerId": role.partner_id,
        "name": role.partner_name,
        "role": role.name.role,
        "partyId": role.name.party_id,
    }


def _partner_row(each: Partner) -> Row:
    return {
        "partnerId": each.id,
        "name": each.name,
        "suspended": each.suspended_at is not None,
        "roles": [{"role": role.name.role, "partyId": role.name.party_id} for role in each.roles],
    }


def _issued_row(issued: IssuedKey) -> Row:
    return {
        "keyId": issued.id,
        "role": issued.role.role,
        "partyId": issued.role.party_id,
        "secret": issued.secret,
        "expiresAt": issued.expires_at,
    }


def _key_row(each: Key, now: datetime) -> Row:
    status = "live" if each.is_live(now) else "expired" if each.revoked_at is None else "revoked"
    return {
        "keyId": each.id,
        **_role_row(each.role),
        "prefix": each.prefix,
        "status": status,
        "createdAt": each.created_at,
        "expiresAt": each.expires_at,
        "revokedAt": each.revoked_at,
    }


def _contract_row(each: Contract) -> Row:
    proposer = each.first if each.first.id == each.proposed_by_role_id else each.second
    return {
        "contractId": each.id,
        "status": each.status,
        "parties": [_role_row(each.first), _role_row(each.second)],
        "proposedBy": _role_row(proposer),
        "validFrom": each.valid_from,
        "validUntil": each.valid_until,
        "updatedAt": each.updated_at,
    }


def _print_partner(each: Partner, outcome: str, as_json: bool) -> None:
    if as_json:
        print_json(_partner_row(each))
    else:
        click.echo(f"Partner {each.name} ({each.id}) {outcome}.")
