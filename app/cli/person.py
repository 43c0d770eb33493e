"""The commands that answer a driver's request: what the hub holds about a contract, and that it be erased."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from app.cli.connect import run_with_database
from app.cli.output import Row, as_json_option, print_json, print_table
from app.errors import BadInput
from app.exchange.actor import CONSOLE
from app.exchange.authorisation.erasure import erase_personal_data, list_personal_data
from app.ids import separated_contract_id
from app.records.authorisation import contract_id_of

#: What tables show; JSON has everything.
TABLES: Final[Mapping[str, Sequence[str]]] = {
    "tokens": ("status", "type", "representation", "instance", "printedNumber", "expiresAt"),
    "requests": ("at", "operatorId", "evseId", "code", "description"),
    "sessions": ("sessionId", "operatorId", "evseId", "status", "instance", "authorisedAt", "endedAt", "energyKwh"),
    "cdrs": ("cdrId", "operatorId", "evseId", "status", "startedAt", "endedAt", "total", "currency"),
}


@click.group
def person() -> None:
    """Answer a driver's request for what the hub holds about a contract."""


@person.command("find")
@click.argument("contract_id", metavar="CONTRACT_ID")
@as_json_option
def person_find(contract_id: str, as_json: bool) -> None:
    """List what the hub holds about the driver of CONTRACT_ID: tokens, requests with their answers, sessions, CDRs.

    \b
    Example:
      ochub person find DE-8AA-001234567-0

    Separators and check digit may be left out. UPLOADED tokens are in a list of which parts are missing.
    """
    key = _read_contract_id(contract_id)
    held = run_with_database(lambda database: list_personal_data(database, CONSOLE, key, datetime.now(UTC)))
    lists = {name: [_shown(row) for row in getattr(held, name)] for name in TABLES}
    if as_json:
        print_json({"contractId": separated_contract_id(key), **lists})
    elif not any(lists.values()):
        click.echo("The hub holds nothing about this contract.")
    else:
        for name, columns in TABLES.items():
            click.echo(f"{name.capitalize()}: {len(lists[name])}")
            if lists[name]:
                print_table(lists[name], *columns)


@person.command("erase")
@click.argument("contract_id", metavar="CONTRACT_ID")
@as_json_option
def person_erase(contract_id: str, as_json: bool) -> None:
    """Erase what the hub holds about the driver of CONTRACT_ID, for good.

    \b
    Example:
      ochub person erase DE-8AA-001234567-0

    Tokens are removed, and their followers receive that. Answers to requests lose the token. Sessions stay without
    contract and token, because accounting needs their times and energy. CDRs stay whole, because they are vouchers of
    accounts. The audit log names the erasure by an id of
    its own, not the contract. Ask the provider to stop publishing the contract first: its next upload brings it back.
    """
    key = _read_contract_id(contract_id)
    erased = run_with_database(lambda database: erase_personal_data(database, CONSOLE, key, datetime.now(UTC)))
    if as_json:
        print_json(
            {
                "erasureId": erased.id,
                "tokens": erased.tokens,
                "requests": erased.requests,
                "sessions": erased.sessions,
                "keptCdrs": erased.cdrs,
            }
        )
        return
    if erased.id is None:
        click.echo("The hub holds nothing about this contract" + (" that may be erased." if erased.cdrs else "."))
    else:
        click.echo(f"Erased as {erased.id}, the id that the audit log has of it:")
        click.echo(f"{erased.tokens:>9,} tokens: removed")
        click.echo(f"{erased.requests:>9,} answers to requests: without the token")
        click.echo(f"{erased.sessions:>9,} sessions: without contract and token; accounting needs times and energy")
    if erased.cdrs:
        click.echo(f"{erased.cdrs:>9,} CDRs: kept whole; they are vouchers of accounts, which must be kept")


def _read_contract_id(text: str) -> str:
    """Read a Contract-ID. Raises: BadInput, which does not quote it: it is personal data."""
    key = contract_id_of(text)
    if key is None:
        raise BadInput(
            "CONTRACT_ID is not a Contract-ID, or its check digit is wrong",
            "it looks like DE-8AA-001234567-0 or DE8AA001234567; the check digit may be left out",
        )
    return key


def _shown(row: Mapping[str, Any]) -> Row:
    return {_camel(name): value for name, value in row.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)
