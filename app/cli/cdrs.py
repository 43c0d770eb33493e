"""The commands on CDRs, for the clearing house operator at the hub's console."""

import csv
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO

import click
import orjson

from app.cli.connect import run_with_database
from app.cli.partners import read_instant
from app.db.engine import Database
from app.errors import BadInput
from app.exchange.cdrs.export import COLUMNS, Period, export_cdrs
from app.ids import normalise_party_id
from app.vocabulary import CdrStatus


@click.group
def cdrs() -> None:
    """Export CDRs."""


@cdrs.command("export")
@click.option("--party", required=True, metavar="PARTYID", help="The operator or EVSP whose CDRs these are.")
@click.option("--from", "begin", required=True, metavar="WHEN", help="First day or instant; a day begins at 00:00 UTC.")
@click.option("--to", "end", required=True, metavar="WHEN", help="First day or instant after the period.")
@click.option("--format", "format_", type=click.Choice(["csv", "jsonl"]), default="csv", help="csv or jsonl.")
@click.option(
    "--status",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in CdrStatus], case_sensitive=False),
    help="Only CDRs in this state; repeat it for several.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Where to write; - for the terminal. Default: a file here, named after party and period.",
)
def cdrs_export(party: str, begin: str, end: str, format_: str, states: Sequence[str], output: Path | None) -> None:
    """Write the CDRs of a partner whose sessions started in a period, for its accountant.

    One row per CDR, oldest session first, in one snapshot; every row names the period. Amounts have all their digits.
    jsonl has the periods of each CDR besides. Tokens and contract ids are left out.

    \b
    Examples:
      ochub cdrs export --party DE*8AC --from 2026-03-01 --to 2026-04-01
      ochub cdrs export --party DE*8AA --from 2026-03-01T00:00:00+01:00 --to 2026-04-01T00:00:00+02:00 --format jsonl
    """
    party_id = normalise_party_id(party)
    first, last = read_instant("--from", begin), read_instant("--to", end)
    assert first is not None
    assert last is not None
    if last <= first:
        raise BadInput(f"--to is {end}, which is not after --from, {begin}")
    period = Period(first, last)
    path = output or Path(f"cdrs_{party_id}_{period}.{format_}".replace(":", ""))

    async def work(database: Database) -> int:
        count = 0
        with nullcontext(sys.stdout) if str(path) == "-" else _written(path) as file:
            write = WRITERS[format_](file)
            rows = export_cdrs(
                database, party_id, period, [CdrStatus(each.upper()) for each in states] or list(CdrStatus)
            )
            async with aclosing(rows):
                async for row in rows:
                    write(row)
                    count += 1
        return count

    count = run_with_database(work)
    if str(path) != "-":
        click.echo(f"{count} CDRs are in {path}.")


@contextmanager
def _written(path: Path) -> Generator[TextIO]:
    """Open a file that has its name once it is complete."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _csv(file: TextIO) -> Callable[[Any], None]:
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    return writer.writerow


def _jsonl(file: TextIO) -> Callable[[Any], None]:
    def write(row: Any) -> None:
        file.write(orjson.dumps(row).decode() + "\n")

    return write


WRITERS = {"csv": _csv, "jsonl": _jsonl}
