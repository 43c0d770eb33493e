"""What commands print: JSON for scripts, or a table."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]

#: Wide enough that no secret or id is ever broken or cut; a terminal breaks lines by itself.
TABLE_WIDTH = 1_000

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    options = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    click.echo(orjson.dumps(value, default=str, option=options))


def print_table(rows: Sequence[Row], *columns: str) -> None:
    """Print the columns of the rows as a table, without markup."""
    table = Table(*columns, box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    console = Console(width=TABLE_WIDTH, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def shown_instant(instant: datetime | None) -> str:
    """Return an instant as tables show it, to the second."""
    return "-" if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown_instant(value) if isinstance(value, datetime) else str(value)
