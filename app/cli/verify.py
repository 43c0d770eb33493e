"""The command that verifies the hash chains of histories."""

from collections.abc import Sequence
from typing import Any

import click

from app.cli.connect import DATABASE_SETTINGS, run_with_database, takes_settings
from app.cli.output import as_json_option, print_json, print_table
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.partners import list_partners
from app.exchange.workflow import count_history, find_tampered


@click.command
@as_json_option
@takes_settings(*DATABASE_SETTINGS)
@click.pass_context
def verify(context: click.Context, as_json: bool) -> None:
    """Verify the history of contracts and sessions: each pair of partners has one chain of hashes.

    \b
    Example:
      ochub verify

    Of every chain that was tampered with it names the first row that is missing or changed, and ends with exit code 1.
    """
    (chains, rows), tampered = run_with_database(_verify)
    if as_json:
        print_json({"chains": chains, "rows": rows, "tampered": tampered})
    elif tampered:
        print_table(tampered, "one", "other", "row", "problem")
    else:
        click.echo(f"{rows:,} rows in {chains:,} chains are as they were written.")
    if tampered:
        context.exit(1)


async def _verify(database: Database) -> tuple[tuple[int, int], Sequence[dict[str, Any]]]:
    # Counted first: all that is counted is verified.
    counts = await count_history(database, CONSOLE)
    found = await find_tampered(database, CONSOLE)
    names = {partner.id: partner.name for partner in await list_partners(database, CONSOLE)}
    return counts, [
        {
            "one": names.get(one, one),
            "other": names.get(other, other),
            "partnerIds": [one, other],
            "row": row,
            "problem": problem,
        }
        for (one, other), row, problem in ((each.partner_ids, each.no, each.problem) for each in found)
    ]
