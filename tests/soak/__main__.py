"""The command: run the parts at full size, one after the other, each on a database of its own."""

import asyncio
import random
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from app.db import cluster
from tests.soak import kills, live, mixed
from tests.soak.database import make_database
from tests.soak.hub import require_flat

#: A part: takes an empty database, the seconds it may take and a seed, raises when something does not hold.
Part = Callable[[str, float | None, int], Coroutine[Any, Any, Any]]


async def _live(dsn: str, seconds: float | None, seed: int) -> live.Figures:
    size = live.FULL if live.EVENTS.exists() else replace(live.FULL, factor=0)
    figures = await live.soak(dsn, size if seconds is None else replace(size, seconds=seconds), seed)
    require_flat(figures.memory)
    return figures


async def _mixed(dsn: str, seconds: float | None, seed: int) -> mixed.Figures:
    figures = await mixed.soak(dsn, mixed.FULL if seconds is None else replace(mixed.FULL, seconds=seconds), seed)
    require_flat(figures.memory)
    return figures


async def _kills(_dsn: str, _seconds: float | None, seed: int) -> kills.Figures:
    """Kill as often as is full size, however long that takes, on a server of its own."""
    return await asyncio.to_thread(kills.soak, kills.FULL, seed)


async def _laws(_dsn: str, _seconds: float | None, seed: int) -> str:
    """Run the tests of generated input, as many examples as they have."""
    command = f"-m pytest -n 2 --dist worksteal --full-length --seed={seed}"
    tests = await asyncio.create_subprocess_exec(sys.executable, *command.split())
    assert await tests.wait() == 0, "a law does not hold; see above"
    return "all hold"


PARTS: Mapping[str, Part] = {"laws": _laws, "live": _live, "mixed": _mixed, "kills": _kills}


@click.command(context_settings={"show_default": True})
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--seconds", type=float, help="How long each part runs. [default: its full time]")
@click.option("--seed", type=int, help="Repeat an earlier run. [default: by chance]")
@click.option("--data-dir", default="var/soak", type=click.Path(path_type=Path), help="Where the databases are kept.")
def main(parts: tuple[str, ...], seconds: float | None, seed: int | None, data_dir: Path) -> None:
    """Run PARTS, or all of them; the exit code is 1 when something was lost or grew."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    click.echo(f"seed: --seed {seed}")
    with cluster.start(data_dir) as running:
        for name in parts or PARTS:
            dsn = asyncio.run(make_database(running.dsn, f"soak_{name}"))
            try:
                figures = asyncio.run(PARTS[name](dsn, seconds, seed))
            except AssertionError as error:
                raise click.ClickException(f"{name}: {error}") from None
            click.echo(f"{name}: {figures}")


if __name__ == "__main__":
    main()
