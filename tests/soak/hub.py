"""The hub that is watched: run as its operator runs it, asked over HTTP, its memory looked at."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import IO, Any

import httpx

from app.db.engine import Database
from app.db.migrate import migrate
from app.settings import Settings
from app.vocabulary import Role
from tests.exchange.world import enrol

ROOT = Path(__file__).parents[2]
#: A machine that does much else besides may take long.
ANSWER_S = 180
OCHUB = (sys.executable, "-c", "from app.cli import main; main(prog_name='ochub')")
#: All clients come from one address.
UNLIMITED = {
    "OCHUB_ANONYMOUS_REQUESTS_PER_S": "0",
    "OCHUB_ANONYMOUS_COST_PER_S": "0",
    "OCHUB_PARTNER_REQUESTS_PER_S": "0",
    "OCHUB_PARTNER_COST_PER_S": "0",
    "OCHUB_MAX_SOCKETS_PER_ADDRESS": "10000",
    "OCHUB_MAX_SUBSCRIPTIONS_PER_ADDRESS": "10000",
}


def ochub(dsn: str, *words: str) -> str:
    """Run a command of the hub as its operator would."""
    run = subprocess.run(
        [*OCHUB, *words],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise RuntimeError(f"ochub {' '.join(words)}: {run.stderr}")
    return run.stdout


async def migrated(dsn: str) -> None:
    """Migrate a database."""
    await migrate(dsn, Settings(database_url=dsn))


async def secret_of_new(dsn: str, role: Role, party_id: str, *, open_: bool = False) -> str:
    """Enrol a partner named after its party id, and return the secret of its key."""
    database = await Database.open(dsn, Settings(database_url=dsn))
    try:
        [member] = await enrol(database, party_id, (role, party_id), open_=open_)
        return member.key.secret
    finally:
        await database.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_hub(
    dsn: str, port: int, workers: int, log: IO[bytes] | None = None, **environment: str
) -> subprocess.Popen[bytes]:
    """Start the hub in production. With a log its processes are a group of their own, which can be killed."""
    settings = {"DATABASE_URL": dsn, "OCHUB_PORT": str(port), "OCHUB_LOG_LEVEL": "warning", **UNLIMITED}
    command = [*OCHUB, "serve", "--workers", str(workers)]
    env = {**os.environ, **settings, **environment}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=log is not None)


@contextlib.contextmanager
def serving(dsn: str, workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the hub in production; gives its address and its first process."""
    port = free_port()
    hub = start_hub(dsn, port, workers)
    try:
        wait_until_ready(port)
        yield f"127.0.0.1:{port}", hub
    finally:
        hub.terminate()
        hub.wait(60)


def wait_until_ready(port: int) -> None:
    """Return once a hub on a port of this machine serves. Raises: TimeoutError."""
    until = monotonic() + 60
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        if monotonic() > until:
            raise TimeoutError("the hub is not ready after a minute")


# ---------------------------------------------------------------- asking


@contextlib.asynccontextmanager
async def connecting(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=ANSWER_S) as client:
        yield client


async def ask(client: httpx.AsyncClient, query: str, variables: Any, key: str | None = None) -> dict[str, Any]:
    """Send a request that must succeed. Raises: RuntimeError for any other status than 200, and for errors."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    response = await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    if response.status_code != 200:
        raise RuntimeError(f"{response.status_code}: {response.text[:500]}")
    answer = response.json()
    if "errors" in answer:
        raise RuntimeError(str(answer["errors"][:2]))
    return answer["data"]


@contextlib.asynccontextmanager
async def running(*works: Any) -> AsyncIterator[None]:
    """Run beside; whatever fails there fails here."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# ---------------------------------------------------------------- memory


def memory_of(process: int) -> int:
    """Return the bytes that a process and its children hold for themselves."""
    pids = [process, *_children(process)]
    return sum(_resident(pid) for pid in pids)


def _children(process: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [each for pid in map(int, listed) for each in (pid, *_children(pid))]
    return []


def _resident(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return 0


async def watch_memory(process: int, seen: list[int]) -> None:
    """Note every second what the hub holds."""
    while True:
        seen.append(memory_of(process))
        await asyncio.sleep(1)


def require_flat(seen: Sequence[int]) -> None:
    """Hold the last third of the memory's course to its middle third, but for a fifth."""
    third = len(seen) // 3
    middle, end = max(seen[third : 2 * third]), max(seen[2 * third :])
    if end > middle * 1.2 + (16 << 20):
        raise AssertionError(f"memory grew from {middle >> 20} to {end >> 20} MiB")


def told_memory(seen: Sequence[int]) -> str:
    first, last = seen[len(seen) // 3], seen[-1]
    return f"memory of the hub {first >> 20} MiB after a third, {last >> 20} MiB at the end"
