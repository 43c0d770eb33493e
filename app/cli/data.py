"""The commands that bring data in: import a register's file, fill an empty hub with synthetic data."""

import asyncio
import json
import os
import secrets
import shlex
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.connect import DATABASE_SETTINGS, current_settings, run_with_database, takes_settings, url_of
from app.cli.output import print_json
from app.db.engine import Database
from app.demo import NAVIGATION, PARTY_IDS, PROVIDER, Filled, fill
from app.demo_stations import Place, known_places
from app.demo_status import keep_pushing
from app.exchange.keys import IssuedKey
from app.formats.irve.dynamic import IrveDynamic
from app.formats.irve.static import IrveStatic
from app.gc_tuning import overlook_what_stays
from app.ingest.registers import ImportReport, Register, import_register
from app.ingest.status.replay import Feed, Pace, ReplayReport, Surroundings, replay
from app.settings import Settings
from app.uploads.checks import MEANINGS

FORMATS: Mapping[str, Callable[[Path, datetime], Register]] = {"irve-static": IrveStatic}
FEEDS: Mapping[str, Callable[[Path, datetime], Feed]] = {"irve-dynamic": IrveDynamic}

MEANING_OF = {str(code): meaning for code, meaning in MEANINGS.items()}

#: The niceness of an import that shares processors with the hub: requests have precedence.
NICENESS = 10
#: Without a terminal a line is printed for every so many rows.
ROWS_PER_LINE = 10_000
EXAMPLE_PLACE = "Berlin"


# Import ------------------------------------------------------------------------------------------------------------


@click.command("import")
@click.argument("format_", metavar="FORMAT", type=click.Choice(sorted((*FORMATS, *FEEDS))))
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the refused rows, one JSON object per line; default: a new file in the data directory.",
)
@click.option("--confirm-removals", is_flag=True, help="Let a file remove more than half of what stands of its source.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="irve-dynamic: so many times real time.")
@click.option("--keep-times", is_flag=True, help="irve-dynamic: leave the instants as they are, for the history.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: rows by what became of them.")
@takes_settings(*DATABASE_SETTINGS, "status_age_s")
def import_(
    format_: str,
    file: Path,
    report: Path | None,
    confirm_removals: bool,
    speed: float | None,
    keep_times: bool,
    as_json: bool,
) -> None:
    """Import a register's FILE.

    \b
    Examples:
      ochub import irve-static consolidation-irve.csv.gz
      ochub import irve-dynamic snapshot.csv.gz
      ochub import irve-dynamic events.csv.gz --speed 50

    FORMAT irve-static is the French register, csv or csv.gz. What an earlier file of the same source brought is
    replaced; what operators upload themselves is left alone. Every row is accounted for; the refused ones are written
    to a report with their reasons.

    FORMAT irve-dynamic is the live states of such charge points, one snapshot or a day's events, replayed in file order
    at once, or with --speed. The file's first instant becomes now; --keep-times leaves them all as they are.
    """
    now = datetime.now(UTC)
    path = report or _new_report(current_settings().data_dir, format_, now)
    if format_ in FEEDS:
        if confirm_removals:
            raise click.UsageError(f"--confirm-removals is not for {format_}: it removes nothing")
        _replay(format_, file, path, Pace(speed, keep_times), now, as_json)
        return
    if speed is not None or keep_times:
        raise click.UsageError(f"--speed and --keep-times are not for {format_}: it has no live states")
    register: Register = FORMATS[format_](file, now)

    async def work(database: Database) -> ImportReport:
        os.nice(NICENESS)
        survey = await asyncio.to_thread(register.survey)
        # Before the transaction: within it, other writers would wait for garbage collection too.
        overlook_what_stays()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _progress(survey.rows) as progress:
            return await import_register(
                database, register, now, progress, confirm_removals=confirm_removals, refusals=path
            )

    done = run_with_database(work)
    if as_json:
        print_json(_import_row(format_, file, path, done))
    else:
        _print_import(done, path, f"app/formats/{format_.replace('-', '/')}.md")


def _replay(format_: str, file: Path, report: Path, pace: Pace, now: datetime, as_json: bool) -> None:
    feed = FEEDS[format_](file, now)
    surroundings = Surroundings(lambda: datetime.now(UTC), timedelta(seconds=current_settings().status_age_s))

    async def work(database: Database) -> ReplayReport:
        survey = await asyncio.to_thread(feed.survey)
        overlook_what_stays()
        report.parent.mkdir(parents=True, exist_ok=True)
        with _progress(survey.rows) as progress:
            return await replay(database, feed, survey, pace, surroundings, progress, refusals=report)

    done = run_with_database(work)
    if as_json:
        row = {"format": format_, "file": str(file), **asdict(done), "report": str(report)}
        print_json(row)
    else:
        _print_replay(done, report, f"app/formats/{format_.replace('-', '/')}.md")


def _print_replay(done: ReplayReport, report: Path, page: str) -> None:
    _print_rows(done.rows, "rows in the file")
    _print_rows(done.accepted, "accepted: new or changed")
    _print_rows(done.unchanged, "unchanged: the same again")
    _print_rows(done.older, "unchanged: older than what is known")
    _print_refusals(done.refused)
    for warning, rows in _most_first(done.warnings):
        _print_rows(rows, f"understood although: {warning}")
    if done.warnings:
        click.echo(f"What each code means: {page}")
    if done.refused:
        click.echo(f"Every refused row with its reason: {report}")


def _print_refusals(refused: Mapping[str, int]) -> None:
    _print_rows(sum(refused.values()), "refused")
    for code, rows in _most_first(refused):
        _print_rows(rows, f"  {code}  {MEANING_OF.get(code, '')}")


def _new_report(data_dir: Path, format_: str, now: datetime) -> Path:
    return data_dir / "imports" / f"{format_}-{now:%Y%m%dT%H%M%SZ}.jsonl"


@contextmanager
def _progress(total: int) -> Generator[Callable[[int], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _progress_in_lines(total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("rows", total=total)
        yield lambda rows: bar.update(task, completed=rows)


def _progress_in_lines(total: int) -> Callable[[int], None]:
    printed = 0

    def print_some(rows: int) -> None:
        nonlocal printed
        if rows // ROWS_PER_LINE > printed:
            printed = rows // ROWS_PER_LINE
            click.echo(f"{rows:,} of {total:,} rows", err=True)

    return print_some


def _import_row(format_: str, file: Path, report: Path, done: ImportReport) -> dict[str, Any]:
    return {
        "format": format_,
        "file": str(file),
        "rows": done.rows,
        "accepted": done.accepted,
        "unchanged": done.unchanged,
        "removed": done.removed,
        "refused": {str(code): rows for code, rows in _most_first(done.refused)},
        "warnings": {str(code): rows for code, rows in _most_first(done.warnings)},
        "report": str(report),
    }


def _print_import(done: ImportReport, report: Path, page: str) -> None:
    refused = sum(done.refused.values())
    _print_rows(done.rows, "rows in the file")
    _print_rows(done.accepted, "accepted: new or changed")
    _print_rows(done.unchanged, "unchanged")
    _print_refusals(done.refused)
    for warning, rows in _most_first(done.warnings):
        _print_rows(rows, f"accepted without something: {warning}")
    if done.removed > 0:
        _print_rows(done.removed, "EVSEs removed that the file no longer names")
    if done.warnings:
        click.echo(f"What each code means: {page}")
    if refused > 0:
        click.echo(f"Every refused row with its reason: {report}")


def _print_rows(rows: int, what: str) -> None:
    click.echo(f"{rows:>9,} {what}")


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: -each[1])


# Demo --------------------------------------------------------------------------------------------------------------


@click.command
@click.option("--seed", type=int, help="Make the same data again; chosen by chance otherwise, and printed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all partners and their keys.")
@click.option(
    "--live", type=click.IntRange(1, 10_000), help="Then go on changing so many states a second, until Ctrl-C."
)
@takes_settings(*DATABASE_SETTINGS, "host", "port")
def demo(seed: int | None, as_json: bool, live: int | None) -> None:
    """Fill an empty hub with synthetic data.

    \b
    Example:
      ochub demo --seed 1
      ochub demo --live 20

    About 3,000 EVSEs of six invented operators in 94 real places of Europe, a navigation service that sees five of
    the operators, a mobility provider with tokens and sessions in every state, and a parking spot operator. It prints
    a key and a query to paste, or with --json all keys. Beside a running hub the hub's own database is filled.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    settings = current_settings()
    progress = None if as_json else _print_operator
    filled = run_with_database(lambda database: fill(database, seed, datetime.now(UTC), progress))
    if as_json:
        print_json(_demo_row(filled, seed, settings))
    elif filled.keys:
        click.echo(f"{filled.evses:,} EVSEs are in the hub, made with --seed {seed}.")
        click.echo(f"{PROVIDER} has {filled.tokens} tokens, and {filled.sessions} sessions with them.")
        _print_way_in(filled, settings)
    else:
        click.echo(f"The demo data is there already: {filled.evses:,} EVSEs. Nothing was changed.")
        click.echo(f"Another key for its navigation service: ochub key issue {shlex.quote(NAVIGATION)}")
    if live is not None:
        click.echo(f"Changing {live} states a second now; stop with Ctrl-C.")
        run_with_database(
            lambda database: keep_pushing(database, PARTY_IDS, live, lambda: datetime.now(UTC), lambda _: None)
        )


def _print_operator(name: str, evses: int) -> None:
    click.echo(f"{evses:>9,} EVSEs of {name}")


def _demo_row(filled: Filled, seed: int, settings: Settings) -> dict[str, Any]:
    return {
        "seed": seed if filled.keys else None,
        "evses": filled.evses,
        "tokens": filled.tokens,
        "sessions": filled.sessions,
        "url": _url(settings),
        "query": _query(),
        "partners": [
            {
                "partnerId": str(partner_id),
                "name": name,
                "keys": [_key_row(key) for whose, key in filled.keys.items() if whose == name],
            }
            for name, partner_id in filled.partner_ids.items()
        ],
    }


def _key_row(key: IssuedKey) -> dict[str, Any]:
    return {"role": key.role.role, "partyId": key.role.party_id, "secret": key.secret}


def _print_way_in(filled: Filled, settings: Settings) -> None:
    url = _url(settings)
    body = shlex.quote(json.dumps({"query": " ".join(_query().split())}))
    if not _answers(settings):
        click.echo("The hub is not running there; start it with: ochub up")
    if (key := filled.keys.get(NAVIGATION)) is None:
        return
    click.echo(f"\nThe key of {NAVIGATION}, an NSP, shown this once:\n\n  {key.secret}\n")
    click.echo(f"The nearest EVSEs around the centre of {EXAMPLE_PLACE}:\n")
    click.echo(f"  curl -s {url} -H 'Content-Type: application/json' \\")
    click.echo(f"    -H 'Authorization: Bearer {key.secret}' \\\n    -d {body}\n")
    click.echo(f"The same in GraphiQL, {url}, with the header Authorization set to that:\n")
    click.echo(_query())
    click.echo(f"\nA key of another partner: ochub key issue {shlex.quote(PROVIDER)}")


def _query() -> str:
    place = _example_place()
    return f"""\
{{
  evses(within: {{near: {{latitude: {place.latitude}, longitude: {place.longitude}, radiusM: 20000}}}}, first: 5) {{
    edges {{
      distanceM
      node {{ evseId locationName operator {{ name }} connectors {{ standard }} ratings {{ maximumPowerKw }} }}
    }}
  }}
}}"""


def _example_place() -> Place:
    return next(place for place in known_places().places if place.name == EXAMPLE_PLACE)


def _url(settings: Settings) -> str:
    return f"{url_of(settings.host, settings.port)}/graphql"


def _answers(settings: Settings) -> bool:
    try:
        with socket.create_connection((settings.host, settings.port), timeout=1):
            return True
    except OSError:
        return False
