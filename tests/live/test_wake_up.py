"""The bus wakes other processes, through the database or a NATS server, and reconnects when either was away."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.live.log.wake_up import CHANNEL, Bus, PostgresBus
from app.settings import Settings
from tests.exchange.world import owner
from tests.soak.hub import free_port

pytestmark = pytest.mark.process

VENV = Path(__file__).parents[2] / ".venv" / "bin"


class Alone(Bus):
    """A bus that is never connected, and counts what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    async def _listen(self) -> None:
        await asyncio.Event().wait()

    async def _send(self) -> None:
        self.sent += 1


@asynccontextmanager
async def running(bus: Bus) -> AsyncIterator[None]:
    """Run the tasks of a bus during the block, as `Bus.open` does."""
    tasks = [asyncio.create_task(bus.stay_connected()), asyncio.create_task(bus.keep_announcing())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def nats_program() -> str:
    """Return the path of the server that the distribution has."""
    program = shutil.which("nats-server") or shutil.which("nats-server", path=f"{VENV}:/usr/sbin")
    assert program, "nats-server is missing; ./setup dev brings it"
    return program


@contextmanager
def nats_server(program: str, port: int) -> Iterator[None]:
    """Run a server during the block."""
    server = subprocess.Popen([program, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        server.terminate()
        server.wait(30)


async def wakes(sender: Bus, listener: Bus) -> bool:
    """Return whether a wake-up arrives in the end."""
    for _ in range(60):
        sender.announce()
        if await listener.wait(0.5):
            return True
    return False


async def connected(*buses: Bus) -> None:
    """Wait until they are connected, and take the wake-up that this brings."""
    async with asyncio.timeout(60):
        for bus in buses:
            while not bus.connected:
                await bus.wait(0.1)
            await bus.wait(0)


async def disconnected(*buses: Bus) -> None:
    """Wait until they have noticed that their connections ended."""
    async with asyncio.timeout(60):
        for bus in buses:
            while bus.connected:
                await bus.wait(0.1)


async def test_wakes_other_processes_and_its_own(database_url: str):
    settings = Settings()
    async with Bus.open(database_url, settings) as one, Bus.open(database_url, settings) as other:
        await connected(one, other)
        assert await wakes(one, other)
        assert await one.wait(30)


async def test_announces_commits_of_a_moment_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.live.log.wake_up.ANNOUNCED_EVERY_S", 0)
    bus = Alone()
    async with running(bus):
        for moment in (1, 2):
            for _ in range(100):
                bus.announce()
            for _ in range(1_000):  # iterations of the loop, enough to send each of them
                await asyncio.sleep(0)
            assert bus.sent == moment


class Undiscerning(PostgresBus):
    """A bus that takes its own notifications for those of other processes."""

    def _hear_notification(self, connection: Any, sender: int, *_: object) -> None:
        self.hear()


async def wakes_itself(bus: PostgresBus, database_url: str) -> bool:
    """Return whether the notification of a bus wakes its own reader once it has arrived."""
    arrived = asyncio.Event()
    async with owner(database_url) as connection, running(bus):
        await connection.add_listener(CHANNEL, lambda *_: arrived.set())
        assert await bus.wait(30), "connecting wakes"
        assert bus._connection is not None
        bus.announce()
        assert await bus.wait(30), "announcing wakes"
        async with asyncio.timeout(60):
            await arrived.wait()
        # The server sends notifications before the response to a later statement.
        async with bus._speaking:
            await bus._connection.fetchval("select 1")
        return await bus.wait(0)


async def test_does_not_wake_itself_by_its_own_notification(database_url: str):
    assert not await wakes_itself(PostgresBus(database_url, Settings()), database_url)


async def test_would_wake_itself_if_it_did_not_look_who_notified(database_url: str):
    assert await wakes_itself(Undiscerning(database_url, Settings()), database_url)


async def test_wakes_its_own_reader_without_a_connection():
    bus = Alone()
    async with running(bus):
        assert not await bus.wait(0)
        bus.announce()
        assert await bus.wait(30)


async def test_says_when_nobody_woke(database_url: str):
    async with Bus.open(database_url, Settings()) as bus:
        await connected(bus)
        assert not await bus.wait(0)


async def test_comes_back_when_its_connection_was_cut(database_url: str):
    async with Bus.open(database_url, Settings()) as one, Bus.open(database_url, Settings()) as other:
        assert await wakes(one, other)
        async with owner(database_url) as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'ochub bus' and datname = current_database()"
            )
        await disconnected(one, other)
        await connected(one, other)
        assert await wakes(one, other)


async def test_wakes_while_it_asks_whether_its_connection_is_there(database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.live.log.wake_up.SILENCE_S", 0)
    heard: list[object] = []
    async with owner(database_url) as connection, Bus.open(database_url, Settings()) as bus:
        await connection.add_listener(CHANNEL, lambda *notified: heard.append(notified[-1]))
        await connected(bus)
        async with asyncio.timeout(60):
            while len(heard) < 20:
                bus.announce()
                await asyncio.sleep(0.01)


async def test_wakes_through_nats_and_comes_back_with_it():
    program, port = nats_program(), free_port()
    settings = Settings(nats_url=f"nats://127.0.0.1:{port}")
    async with Bus.open("unused", settings) as one, Bus.open("unused", settings) as other:
        for _ in range(2):
            with nats_server(program, port):
                await connected(one, other)
                assert await wakes(one, other)
            await disconnected(one, other)


@pytest.mark.parametrize("url", ["nats://127.0.0.1:1", "nonsense"])
async def test_does_without_a_nats_server_that_is_not_there(url: str):
    async with Bus.open("unused", Settings(nats_url=url)) as bus:
        bus.announce()
        assert await bus.wait(30)


class FailingOnce(Alone):
    """A bus whose driver fails in a way of its own, as it does in the moment in which a server ends its connection."""

    async def _send(self) -> None:
        await super()._send()
        if self.sent == 1:
            raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")


async def test_goes_on_announcing_whatever_the_driver_raised():
    bus = FailingOnce()
    async with running(bus), asyncio.timeout(60):
        while bus.sent < 2:
            bus.announce()
            await asyncio.sleep(0)
