"""What `ochub cdrs export` writes."""

import asyncio
import csv
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import Commands
from app.exchange.cdrs import export
from tests.exchange.cdrs.world import NOON, World, cdr, costing, make_world

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def world(database, database_url: str) -> World:
    return await make_world(database, database_url)


@pytest.fixture
def ochub(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `ochub` on the test's own database, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    environment = {"DATABASE_URL": database_url}
    return lambda *words: asyncio.to_thread(CliRunner().invoke, Commands("ochub"), words, env=environment, obj={})


MARCH = ("--from", "2026-03-01", "--to", "2026-04-01")


async def test_exports_a_month_with_all_digits(
    world: World, ochub: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(export, "AT_ONCE", 2)
    hour = timedelta(hours=1)
    await world.add(
        *(costing(f"{n}.10", cdr_id=f"DE8AC{n}", start=NOON + n * hour) for n in range(5)),
        costing("9.00", cdr_id="DE8AC9", start=NOON + 31 * 24 * hour),
        cdr("DE8ACX", NOON - hour, by=1, totalCost=None, meterId="M 7"),
    )
    await world.approve("DE8AC3")
    done = await ochub("cdrs", "export", "--party", "DE*8AC", *MARCH)
    assert (done.exit_code, done.exception) == (0, None), done.output
    name = "cdrs_DE8AC_2026-03-01T000000Z_2026-04-01T000000Z.csv"
    assert done.output == f"6 CDRs are in {name}.\n"
    rows = list(csv.DictReader((tmp_path / name).read_text(encoding="utf-8").splitlines()))
    assert [row["cdrId"] for row in rows] == ["DE8ACX", *(f"DE8AC{n}" for n in range(5))]
    assert {(row["from"], row["to"]) for row in rows} == {("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")}
    first, *_, fourth, _ = rows
    assert (first["providerId"], first["totalCost"], first["total"], first["meterId"]) == ("FRA1B", "", "3.90", "M 7")
    assert (fourth["status"], fourth["total"], fourth["start"]) == ("APPROVED", "3.10", "2026-03-01T15:00:00+01:00")

    done = await ochub("cdrs", "export", "--party", "FRA1B", *MARCH, "--format", "jsonl", "--output", "-")
    [row] = map(json.loads, done.output.splitlines())
    assert (row["cdrId"], row["periods"][0]["itemPrice"]) == ("DE8ACX", "0.39")
    assert "04C3D4" not in done.output
    done = await ochub("cdrs", "export", "--party", "DE8AC", *MARCH, "--status", "approved", "--output", "-")
    assert len(done.output.splitlines()) == 2


async def test_refuses_periods_and_parties_that_are_none(world: World, ochub: Run):
    for words in (
        ("--party", "DE8AC", "--from", "2026-03-01", "--to", "2026-03-01"),
        ("--party", "DE8AC", "--from", "March", "--to", "2026-03-01"),
        ("--party", "DEXYZ", *MARCH),
    ):
        done = await ochub("cdrs", "export", *words, "--output", "-")
        assert done.exit_code == 1, words
        assert done.stderr.startswith("Error: ")
