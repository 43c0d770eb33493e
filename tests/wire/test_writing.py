"""A client that reads slowly, or never, delays no other, has little queued for it, and is cut off in the end."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest

from app.http.send_queue import SendQueue
from schema.root_fields import Context
from tests.hub import Hub, serve
from tests.wire.counter import COUNTING, Counter, Counting
from tests.wire.raw import connection, subscribe_by_events, subscribe_on_socket
from tests.wire.talk import Talk, talk
from tests.world import World

SIZE = 50_000
FLOOD = f"subscription {{ flood(size: {SIZE}) }}"
TICKS = "subscription { ticks }"
#: What the hub keeps, and what the system keeps between the two of them.
KEPT_BYTES = 64_000 + 256_000 + 2 * SIZE
BETWEEN_BYTES = 12_000_000

ways = pytest.mark.parametrize("subscribe", [subscribe_on_socket, subscribe_by_events])
Subscribe = Callable[[socket.socket, str], None]


class Heedless(Counter):
    """A source that does not ask whether there is room: what the hub would be without it."""

    async def _flood(self, counting: Counting, key: str, context: Context, size: int) -> None:
        while self.given < 3 * (KEPT_BYTES + BETWEEN_BYTES):
            self.given += size
            counting.give(**{key: "x" * size})
            await asyncio.sleep(0)


def settled(hub: Hub, counter: Counter, other: Talk) -> int:
    """Return what was made for a client that reads nothing, once no more is made while other clients are served."""
    before = -1
    until = time.monotonic() + 60
    while counter.given != before:
        assert time.monotonic() < until, "it never stops"
        before = counter.given
        for _ in range(50):
            assert other.hear()["type"] == "next"
    return before


@ways
def test_makes_no_more_for_who_does_not_read_and_serves_the_others(world: World, subscribe: Subscribe) -> None:
    counter = Counter()
    with (
        serve(world.dsn, api={"schema": COUNTING, "source": counter}) as hub,
        talk(hub) as other,
        connection(hub) as plug,
    ):
        other.init()
        other.subscribe("1", TICKS)
        subscribe(plug, FLOOD)
        made = settled(hub, counter, other)
        assert made <= KEPT_BYTES + BETWEEN_BYTES
        # It reads after all: then it goes on.
        taken = 0
        while taken < made + 1_000_000:
            part = plug.recv(65_536)
            assert part
            taken += len(part)
        assert counter.given > made


@ways
def test_would_make_more_if_it_did_not_look_whether_there_is_room(world: World, subscribe: Subscribe) -> None:
    counter = Heedless()
    api = {"schema": COUNTING, "source": counter}
    with serve(world.dsn, api=api) as hub, talk(hub) as other, connection(hub) as plug:
        other.init()
        other.subscribe("1", TICKS)
        subscribe(plug, FLOOD)
        assert settled(hub, counter, other) > KEPT_BYTES + BETWEEN_BYTES


@ways
@pytest.mark.parametrize("trickles", [False, True], ids=["takes nothing", "takes a byte now and then"])
def test_cuts_off_who_does_not_read(world: World, subscribe: Subscribe, trickles: bool) -> None:
    counter = Counter()
    with (
        serve(world.dsn, api={"schema": COUNTING, "source": counter}, send_timeout_s=0.3) as hub,
        talk(hub) as other,
        connection(hub) as plug,
    ):
        other.init()
        other.subscribe("1", TICKS)
        subscribe(plug, FLOOD)
        stop = threading.Event()
        reading = threading.Thread(target=_trickle, args=(plug, stop))
        if trickles:
            reading.start()
        try:
            hub.until(lambda: "ochub_sockets 1.0" in hub.client.get("/metrics").text)
            hub.until(lambda: len(hub.server.server_state.connections) <= 2)
        finally:
            stop.set()
            if trickles:
                reading.join()
        for _ in range(20):
            assert other.hear()["type"] == "next"


def _trickle(plug: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(0.02):
        try:
            plug.recv(1)
        except OSError:
            return


def test_lets_the_system_cut_off_whom_it_cannot_reach(world: World) -> None:
    with serve(world.dsn, send_timeout_s=7.0) as hub, talk(hub) as client:
        client.init()
        found = {
            made.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            for made in list(hub.server.server_state.connections)
        }
    assert found == {7_000}


def test_stops_in_time_though_somebody_does_not_read(world: World) -> None:
    with (
        serve(world.dsn, api={"schema": COUNTING, "source": Counter()}) as hub,
        connection(hub) as one,
        connection(hub) as two,
        talk(hub) as other,
    ):
        other.init()
        other.subscribe("1", TICKS)
        subscribe_on_socket(one, FLOOD)
        subscribe_by_events(two, FLOOD)
        for _ in range(100):
            other.hear()
        hub.server.should_exit = True
        hub.until(lambda: not hub.loop.is_running())


# ---------------------------------------------------------------- what waits


async def test_keeps_order_and_tells_when_there_is_room() -> None:
    told: list[bool] = []
    written: list[str] = []
    gate = asyncio.Event()
    queue = SendQueue(10, told.append)

    async def write(text: str) -> None:
        await gate.wait()
        written.append(text)

    writing = asyncio.create_task(queue.run(write))
    for number in range(5):
        queue.put(f"{number}xx")
    await asyncio.sleep(0)
    assert (told, queue.full) == ([False], True)
    queue.put("late")
    queue.drop("3")
    gate.set()
    await asyncio.wait_for(queue.room(), 30)
    assert (told, queue.full) == ([False, True], False)
    assert written == ["0xx", "1xx", "2xx", "4xx", "late"]
    queue.put("last")
    queue.close()
    queue.put("never")
    await asyncio.wait_for(writing, 30)
    assert written[-1] == "last"


async def test_writes_nothing_more_after_an_end_at_once() -> None:
    written: list[str] = []
    queue = SendQueue(10, lambda _: None)

    async def write(text: str) -> None:
        written.append(text)

    queue.put("a")
    queue.close(now=True)
    await queue.run(write)
    assert written == []
