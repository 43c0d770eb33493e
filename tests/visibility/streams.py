"""What is streamed to every caller while worlds change, over WebSockets and as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.visibility.answers import (
    FOLLOWED,
    SESSION_CHANGES,
    TOKEN_CHANGES,
    Expected,
    applied,
    check_answers,
    request,
    session,
    tokens,
)
from tests.visibility.filling import put
from tests.visibility.private_matrix import PATIENCE_S, PrivateMatrix, callers_of
from tests.visibility.worlds import AFTER, BEFORE, World, Worlds
from tests.visibility_matrix import Held
from tests.wire.talk import PROTOCOL


async def check(matrix: PrivateMatrix, worlds: Worlds) -> None:
    """Bring worlds from one moment to the next; hold against the model what is asked at once, and what is streamed."""
    await matrix.go_behind_others()
    await put(matrix.made, worlds, BEFORE)
    cursor = await matrix.cursor()
    async with following(matrix, worlds) as streams:
        await streams.until(lambda each: each.has_begun)
        await put(matrix.made, worlds, AFTER)
        await check_answers(matrix, worlds, cursor)
        await streams.until(lambda each: each.is_done)
        for each in streams.followers:
            each.check()


def subscription(name: str) -> str:
    return f"subscription {{ {name}(initial: true) {{ hasMore {FOLLOWED[name]} }} }}"


@dataclass(eq=False)
class Follower:
    """A caller that follows one field. `is_ended`: the hub ended it, for the key is not valid any more."""

    expected: Expected
    name: str
    is_refused: bool
    has_begun: bool = False
    is_ended: bool = False
    first: list[Any] = field(default_factory=list)
    pages: list[Any] = field(default_factory=list)

    def take(self, payload: Any) -> None:
        """Keep a page, or an error."""
        if "errors" in payload:
            assert self.is_refused, payload
            self.is_ended = True
            return
        page = payload["data"][self.name]
        (self.pages if self.has_begun else self.first).append(page)
        self.has_begun = self.has_begun or not page["hasMore"]

    @property
    def is_done(self) -> bool:
        return self.is_ended if self.is_refused else self.state == self.wanted

    @property
    def state(self) -> set[Any]:
        """Return the tokens that it holds, or what it was sent after the list."""
        if self.name == TOKEN_CHANGES:
            return applied(self.begun, items(self.pages, "changes"))
        return self.shown(self.pages)

    def shown(self, pages: Iterable[Any]) -> set[Any]:
        if self.name == TOKEN_CHANGES:
            return tokens(items(pages, "changes"))
        if self.name == SESSION_CHANGES:
            return {session(each) for each in items(pages, "sessions")}
        return {request(each) for each in items(pages, "requests")}

    @cached_property
    def begun(self) -> set[Any]:
        return self.model(BEFORE)

    @cached_property
    def wanted(self) -> set[Any]:
        return self.model(AFTER, only_news=True)

    def model(self, moment: int, **only_news: bool) -> set[Any]:
        if self.name == TOKEN_CHANGES:
            return self.expected.tokens(moment)
        if self.name == SESSION_CHANGES:
            return self.expected.sessions(moment, **only_news)
        return self.expected.requests(moment, **only_news)

    def check(self) -> None:
        """Hold all pages against the model; a page without anything would reveal that something happened."""
        about = (self.name, self.expected.caller)
        assert self.shown(self.first) == self.begun, about
        assert self.shown(self.pages) <= self.wanted, about
        assert all(each[name] for each in self.pages for name in each.keys() - {"hasMore"}), about
        assert self.is_refused or self.state == self.wanted, about


def items(pages: Iterable[Any], name: str) -> list[Any]:
    return [each for page in pages for each in page[name]]


@dataclass
class Streams:
    """What callers follow, and the tasks that read it."""

    followers: list[Follower] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def until(self, holds: Callable[[Follower], bool]) -> None:
        """Wait until something holds of every follower. Raises: what reading raised."""
        waiting = self.followers
        try:
            async with asyncio.timeout(PATIENCE_S):
                while waiting := [each for each in waiting if not holds(each)]:
                    await asyncio.sleep(0.005)
                    self.check_tasks()
        except TimeoutError:
            raise AssertionError(f"never came: {[(each.name, each.expected.caller) for each in waiting]}") from None

    def check_tasks(self) -> None:
        for each in self.tasks:
            if each.done():
                each.result()


@asynccontextmanager
async def following(matrix: PrivateMatrix, worlds: Worlds) -> AsyncIterator[Streams]:
    """Follow every field in the name of everybody whose key is valid at the first moment."""
    streams = Streams()
    for caller, world in callers_of(worlds):
        if caller is None or caller not in world.roles or not world.is_refused(caller, BEFORE):
            _follow(matrix, worlds, caller, world, streams)
    try:
        yield streams
    finally:
        for each in streams.tasks:
            each.cancel()
        await asyncio.gather(*streams.tasks, return_exceptions=True)


def _follow(matrix: PrivateMatrix, worlds: Worlds, caller: Held | None, world: World, streams: Streams) -> None:
    known = caller is not None and caller in world.roles
    is_refused = known and world.is_refused(caller, AFTER)
    followers = [Follower(Expected(worlds, caller), name, is_refused) for name in FOLLOWED]
    if known and not world.draft.by_socket[world.roles.index(caller)]:
        reading = [_follow_events(matrix, each) for each in followers]
    else:
        reading = [_follow_socket(matrix, caller, followers)]
    streams.followers += followers
    streams.tasks += [asyncio.create_task(_take(each)) for each in reading]


async def _take(pages: AsyncIterator[tuple[Follower, Any]]) -> None:
    async for follower, payload in pages:
        follower.take(payload)


async def _follow_socket(
    matrix: PrivateMatrix, caller: Held | None, followers: Sequence[Follower]
) -> AsyncIterator[tuple[Follower, Any]]:
    url = f"{matrix.made.hub.url.replace('http', 'ws', 1)}/graphql"
    async with connect(url, subprotocols=[Subprotocol(PROTOCOL)], compression=None, close_timeout=1) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": matrix.made.headers(caller)}))
        for n, each in enumerate(followers):
            payload = {"query": subscription(each.name)}
            await socket.send(json.dumps({"type": "subscribe", "id": str(n), "payload": payload}))
        try:
            async for message in socket:
                heard = json.loads(message)
                if heard["type"] in ("next", "error"):
                    payload = heard["payload"]
                    yield followers[int(heard["id"])], payload if heard["type"] == "next" else {"errors": payload}
        except ConnectionClosed as closed:
            for each in followers:
                yield each, {"errors": closed.rcvd}


async def _follow_events(matrix: PrivateMatrix, follower: Follower) -> AsyncIterator[tuple[Follower, Any]]:
    headers = {"Accept": "text/event-stream", **matrix.made.headers(follower.expected.caller)}
    query = {"query": subscription(follower.name)}
    async with matrix.client.stream("POST", "/graphql", json=query, headers=headers, timeout=None) as response:
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "data":
                yield follower, json.loads(value)
