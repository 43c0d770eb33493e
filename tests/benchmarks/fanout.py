"""How fast changes reach 1,000 subscribers, 100 for each: over real sockets, beside two baselines that ask no database.

Alone: `python -m tests.benchmarks.fanout`. The hub's changes are committed to a database of its own. It puts what
happens within 50 ms on one page; the baselines send each change on its own, and then once more in pages as long as the
hub's, for that is a part of what the hub does better and a part of what it does otherwise.

Paced, changes come at fixed instants, whether or not those before have arrived, and a late one counts as late.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import asyncpg
import click
import httpx

from app.db import cluster
from app.db.cluster import DATABASE
from app.live.log.wake_up import Bus
from app.settings import Settings
from tests.benchmarks.fanout_hub import Committing, Pushing, importing, make_world
from tests.benchmarks.fanout_questions import AREAS, HUBS, STRAWBERRYS, SUBSCRIBERS, variables_of
from tests.benchmarks.fanout_receivers import DEADLINE_S, Heard, area_of, following
from tests.benchmarks.measure import Server, cpu_s, serving
from tests.benchmarks.world import REGISTER

NAME = "ochub_bench_fanout"
PACED_CHANGES = 100
PACE_S = 0.1
FLOODS = 10
#: Changes of a flood, fewer where each takes long; all are whole turns through the areas.
AT_ONCE, FEW_AT_ONCE = 500, 50
#: To reach: so many times Strawberry's own, so much of the broadcast, and so many milliseconds at most for 99 of 100.
TIMES, SHARE, MOST_MS = 10, 0.5, 150
#: Each serves once, for it does not notice who has left.
BASELINES = {
    "raw": ["fanout-raw", ""],
    "strawberry": ["fanout-strawberry", ""],
    "raw, in pages": ["fanout-raw", ""],
    "strawberry, in pages": ["fanout-strawberry", ""],
}


@dataclass(frozen=True, slots=True)
class Latency:
    """Until receipt, at 1,000 deliveries/s; in milliseconds."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Reached:
    """What one variant did. `per_s`, `per_cpu_s`: changes delivered per second, and per second of the server's CPU.

    `latency`: since commit or publication. CPU of PostgreSQL, which only the hub asks, is not in it.
    """

    per_s: float
    per_cpu_s: float
    changes_per_frame: float
    bytes_per_frame: float
    latency: Latency


@dataclass(frozen=True, slots=True)
class Figures:
    """`with_commit`: since `updateStatus` was sent. `beside_import`: the same while the register is imported."""

    reached: Mapping[str, Reached]
    with_commit: Latency
    beside_import: Latency | None


#: Makes so many changes; gives the instant of their commit, or of their publication.
Publish = Callable[[int], Awaitable[float]]


async def _measure(server: Server, heard: Heard, publish: Publish, at_once: int) -> Reached:
    latency = await _paced(heard, publish, lambda number: number < PACED_CHANGES, since_due=False)
    rates: list[float] = []
    frames = changes = size = 0
    before = cpu_s(server.process_id)
    for _ in range(FLOODS):
        rates.append(await _flood(heard, publish, at_once))
        frames, changes, size = frames + len(heard.receipts), changes + heard.changes, size + heard.bytes
    per_cpu_s = changes / (cpu_s(server.process_id) - before)
    return Reached(median(rates), per_cpu_s, changes / frames, size / frames, latency)


async def _paced(heard: Heard, publish: Publish, goes_on: Callable[[int], bool], since_due: bool) -> Latency:
    """Publish a change now and then. `since_due`: measure since each was due, not since `publish` says."""
    heard.restart()
    begins: list[list[float]] = [[] for _ in range(AREAS)]
    number, start = 0, time.perf_counter()
    while goes_on(number):
        due = start + number * PACE_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        begun = await publish(1)
        begins[number % AREAS].append(due if since_due else begun)
        number += 1
    await heard.reaches(number * SUBSCRIBERS)
    percentiles = quantiles(_latencies_ms(heard, begins), n=100)
    return Latency(percentiles[49], percentiles[98])


def _latencies_ms(heard: Heard, begins: Sequence[Sequence[float]]) -> Sequence[float]:
    """Return the latency of each receipt: a receiver gets its area's changes in their order."""
    heard_by: dict[int, int] = {}
    latencies_ms: list[float] = []
    for receiver, changes, at in heard.receipts:
        first = heard_by.get(receiver, 0)
        heard_by[receiver] = first + changes
        latencies_ms += [(at - begin) * 1000 for begin in begins[area_of(receiver)][first : first + changes]]
    assert sum(heard_by.values()) == len(latencies_ms) == sum(map(len, begins)) * SUBSCRIBERS
    return latencies_ms


async def _flood(heard: Heard, publish: Publish, at_once: int) -> float:
    """Return changes delivered per second, when so many happen at once, as many in each area."""
    heard.restart()
    began = time.perf_counter()
    await publish(at_once)
    await heard.reaches(at_once * SUBSCRIBERS)
    return at_once * SUBSCRIBERS / (time.perf_counter() - began)


# ---------------------------------------------------------------- the variants


async def measure_fanout(server_dsn: str) -> Figures:
    """Measure all variants, one after the other, in a database of its own."""
    administrating = await asyncpg.connect(server_dsn)
    dsn = server_dsn.replace(f"/{DATABASE}?", f"/{NAME}?")
    await administrating.execute(f"drop database if exists {NAME} with (force)")
    await administrating.execute(f"create database {NAME}")
    try:
        key = await make_world(dsn)
        with serving({"hub": ["hub", dsn], **BASELINES}) as servers:
            return await _measure_all(dsn, key, servers)
    finally:
        await administrating.execute(f"drop database if exists {NAME} with (force)")
        await administrating.close()


async def _measure_all(dsn: str, key: str, servers: Mapping[str, Server]) -> Figures:
    of_hub, with_commit, beside_import = await _measure_hub(dsn, key, servers["hub"])
    page = round(of_hub.changes_per_frame)
    reached = {
        "raw": await _measure_baseline(servers["raw"], 1, AT_ONCE),
        "strawberry": await _measure_baseline(servers["strawberry"], 1, FEW_AT_ONCE),
        "raw, in pages": await _measure_baseline(servers["raw, in pages"], page, AT_ONCE),
        "strawberry, in pages": await _measure_baseline(servers["strawberry, in pages"], page, AT_ONCE),
        "hub": of_hub,
    }
    return Figures(reached, with_commit, beside_import)


async def _measure_baseline(server: Server, page: int, at_once: int) -> Reached:
    """Measure a baseline that sends so many changes of an area together on a page."""
    async with _client(server) as client, following(server.port, _asks_strawberry) as heard:

        async def publish(count: int) -> float:
            began = time.perf_counter()
            (await client.post(f"/publish?count={count}&page={page}")).raise_for_status()
            return began

        return await _measure(server, heard, publish, at_once)


async def _measure_hub(dsn: str, key: str, server: Server) -> tuple[Reached, Latency, Latency | None]:
    async with AsyncExitStack() as stack:
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        bus = await stack.enter_async_context(Bus.open(dsn, Settings()))
        client = await stack.enter_async_context(_client(server))
        heard = await stack.enter_async_context(following(server.port, _asks_hub, begins=True))
        reached = await _measure(server, heard, Committing(connection, bus.announce), AT_ONCE)
        pushing = Pushing(client, key)
        with_commit = await _paced(heard, pushing, lambda number: number < PACED_CHANGES, since_due=True)
        return reached, with_commit, await _measure_beside_import(dsn, heard, pushing)


async def _measure_beside_import(dsn: str, heard: Heard, pushing: Pushing) -> Latency | None:
    if not REGISTER.exists():
        return None
    with importing(dsn) as process:
        latency = await _paced(heard, pushing, lambda _: process.poll() is None, since_due=True)
        assert process.returncode == 0, "the import failed"
    return latency


def _client(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=DEADLINE_S)


def _asks_hub(area: int) -> dict[str, Any]:
    return {"type": "subscribe", "id": "1", "payload": {"query": HUBS, "variables": variables_of(area)}}


def _asks_strawberry(area: int) -> dict[str, Any]:
    return {"type": "subscribe", "id": "1", "payload": {"query": STRAWBERRYS, "variables": {"area": area}}}


# ---------------------------------------------------------------- what is printed


def told(figures: Figures) -> Sequence[str]:
    """Return the lines to be printed."""
    return [
        *(_line(name, each) for name, each in figures.reached.items()),
        _ratios(figures.reached, "as each sends them", ""),
        _ratios(figures.reached, "in pages of the same length", ", in pages"),
        _verdict("since the mutation was sent", figures.with_commit),
        *([_verdict("beside the register's import", figures.beside_import)] if figures.beside_import else []),
    ]


def _line(name: str, reached: Reached) -> str:
    return (
        f"{name}: {reached.per_s:,.0f} changes delivered/s, {reached.per_cpu_s:,.0f} per second of the server's CPU,"
        f" {reached.changes_per_frame:,.0f} of them and {reached.bytes_per_frame:,.0f} bytes per frame;"
        f" at 1,000/s p50 {reached.latency.p50_ms:.1f} ms, p99 {reached.latency.p99_ms:.1f} ms"
    )


def _ratios(reached: Mapping[str, Reached], how: str, suffix: str) -> str:
    hub, strawberry, raw = reached["hub"], reached[f"strawberry{suffix}"], reached[f"raw{suffix}"]
    times, of_cpu = hub.per_s / strawberry.per_s, hub.per_cpu_s / strawberry.per_cpu_s
    share, share_of_cpu = hub.per_s / raw.per_s, hub.per_cpu_s / raw.per_cpu_s
    return (
        f"hub, {how}: {times:.1f} times Strawberry's own (to reach: {TIMES}), {share:.2f} of the broadcast"
        f" (to reach: {SHARE}); per second of the server's CPU {of_cpu:.1f} times and {share_of_cpu:.2f}"
    )


def _verdict(how: str, latency: Latency) -> str:
    word = "reached" if latency.p99_ms < MOST_MS else "NOT reached"
    return (
        f"hub, at 1,000 deliveries/s, {how}: p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms;"
        f" to reach: under {MOST_MS} ms: {word}"
    )


@click.command()
@click.option("--data-dir", default="var/benchmarks", type=click.Path(path_type=Path))
def main(data_dir: Path) -> None:
    with cluster.start(data_dir) as running:
        for line in told(asyncio.run(measure_fanout(running.dsn))):
            click.echo(line)


if __name__ == "__main__":
    main()
