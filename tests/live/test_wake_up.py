"""The bus wakes, by way of the database or of a real NATS server, and comes back when either was away."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from app.live.log.wake_up import CHANNEL, Bus
from app.settings import Settings
from tests.exchange.world import owner

pytestmark = pytest.mark.process

VENV = Path(__file__).parents[2] / ".venv" / "bin"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def nats_server(port: int) -> Iterator[None]:
    """Run the server that the distribution has; ./setup dev brings it."""
    program = shutil.which("nats-server") or shutil.which("nats-server", path=f"{VENV}:/usr/sbin")
    assert program, "nats-server is missing; ./setup dev brings it"
    server = subprocess.Popen([program, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        server.terminate()
        server.wait(30)


async def wakes(sender: Bus, listener: Bus) -> bool:
    """Say whether a wake-up arrives in the end."""
    for _ in range(60):
        sender.announce()
        if await listener.wait(0.5):
            return True
    return False


async def drained(bus: Bus) -> None:
    """Wait until it has heard all: connecting wakes as well."""
    while await bus.wait(2.5):
        pass


async def test_wakes_other_processes_and_its_own(database_url: str):
    settings = Settings()
    async with Bus.open(database_url, settings) as one, Bus.open(database_url, settings) as other:
        await asyncio.gather(drained(one), drained(other))
        assert await wakes(one, other)
        assert await one.wait(30)


async def test_announces_commits_of_a_moment_together(database_url: str):
    heard: list[object] = []
    async with owner(database_url) as connection, Bus.open(database_url, Settings()) as bus:
        await connection.add_listener(CHANNEL, lambda *notified: heard.append(notified[-1]))
        await once_connected(bus)
        for _ in range(1_000):
            bus.announce()
        async with asyncio.timeout(60):
            while not heard:
                await connection.execute("select pg_sleep(0.05)")
        await connection.execute("select pg_sleep(0.2)")
    assert len(heard) <= 2


async def test_does_not_wake_itself_by_its_own_notification(database_url: str):
    async with Bus.open(database_url, Settings()) as one, Bus.open(database_url, Settings()) as other:
        await asyncio.gather(drained(one), drained(other))
        one.announce()
        assert await other.wait(30)
        assert await one.wait(30)
        assert not await one.wait(0.3)


async def test_wakes_its_own_reader_without_a_connection():
    async with Bus.open("postgresql://ochub@/nowhere?host=/nowhere", Settings()) as bus:
        await drained_within_reason(bus)
        bus.announce()
        assert await bus.wait(30)


async def drained_within_reason(bus: Bus) -> None:
    # Each attempt to connect wakes, so there is no end of that.
    await bus.wait(1)


async def test_says_when_nobody_woke(database_url: str):
    async with Bus.open(database_url, Settings()) as bus:
        await drained(bus)
        assert not await bus.wait(0.05)


async def test_comes_back_when_its_connection_was_cut(database_url: str):
    async with Bus.open(database_url, Settings()) as one, Bus.open(database_url, Settings()) as other:
        assert await wakes(one, other)
        async with owner(database_url) as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'ochub bus' and datname = current_database()"
            )
        await asyncio.gather(drained(one), drained(other))
        assert await wakes(one, other)


async def test_wakes_while_it_asks_whether_its_connection_is_there(database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.live.log.wake_up.SILENCE_S", 0)
    heard: list[object] = []
    async with owner(database_url) as connection, Bus.open(database_url, Settings()) as bus:
        await connection.add_listener(CHANNEL, lambda *notified: heard.append(notified[-1]))
        await once_connected(bus)
        async with asyncio.timeout(60):
            while len(heard) < 20:
                bus.announce()
                await asyncio.sleep(0.01)


async def test_wakes_through_nats_and_comes_back_with_it():
    port = free_port()
    settings = Settings(nats_url=f"nats://127.0.0.1:{port}")
    async with Bus.open("unused", settings) as one, Bus.open("unused", settings) as other:
        for _ in range(2):
            with nats_server(port):
                await asyncio.gather(once_connected(one), once_connected(other))
                await asyncio.gather(drained(one), drained(other))
                assert await wakes(one, other)


async def once_connected(bus: Bus) -> None:
    async with asyncio.timeout(60):
        while not bus.connected:
            await bus.wait(0.1)


@pytest.mark.parametrize("url", ["nats://127.0.0.1:1", "nonsense"])
async def test_does_without_a_nats_server_that_is_not_there(url: str):
    async with Bus.open("unused", Settings(nats_url=url)) as bus:
        bus.announce()
        assert await bus.wait(30)


class FailingOnce(Bus):
    """A bus whose driver fails in a way of its own, as it does in the moment in which a server ends its connection."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    async def _listen(self) -> None:
        await asyncio.Event().wait()

    async def _send(self) -> None:
        self.sent += 1
        if self.sent == 1:
            raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")


async def test_goes_on_announcing_whatever_the_driver_raised():
    bus = FailingOnce()
    task = asyncio.create_task(bus.keep_announcing())
    async with asyncio.timeout(60):
        while bus.sent < 2:
            assert not task.done()
            bus.announce()
            await asyncio.sleep(0)
    task.cancel()
