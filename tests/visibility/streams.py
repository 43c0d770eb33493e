"""What is streamed to every caller while worlds change, over WebSockets and as server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.visibility.answers import (
    CDR_CHANGES,
    FOLLOWED,
    SESSION_CHANGES,
    TARIFF_CHANGES,
    TOKEN_CHANGES,
    Expected,
    applied,
    applied_tariffs,
    cdr,
    check_answers,
    request,
    session,
    tariffs,
    tokens,
)
from tests.visibility.filling import put
from tests.visibility.private_matrix import PrivateMatrix, callers_of
from tests.visibility.worlds import AFTER, BEFORE, World, Worlds
from tests.visibility_matrix import Held
from tests.wire.talk import PROTOCOL

#: Slow machines are waited for; nothing here is measured.
PATIENCE_S = 25


def check(matrix: PrivateMatrix, worlds: Worlds) -> None:
    """Bring worlds from one moment to the next; hold against the model what is read at once, and what is streamed."""
    run = matrix.made.hub.run
    matrix.go_behind_others()
    run(put(matrix.made, worlds, BEFORE))
    cursor = matrix.cursor()
    streams = run(follow(matrix, worlds))
    try:
        run(streams.until(lambda each: each.has_begun))
        run(put(matrix.made, worlds, AFTER))
        check_answers(matrix, worlds, cursor)
        run(streams.until(lambda each: each.is_done))
        for each in streams.followers:
            each.check()
    finally:
        run(streams.stop())


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
        """Keep a page, or an error. A page of changes with nothing on it would reveal that something happened."""
        if "errors" in payload:
            assert self.is_refused, payload
            self.is_ended = True
            return
        page = payload["data"][self.name]
        if self.has_begun:
            assert all(page[name] for name in page.keys() - {"hasMore"}), ("nothing", *self.about)
            assert self.shown([page]) <= self.wanted, ("too much", *self.about)
            self.pages.append(page)
        else:
            self.first.append(page)
            self.has_begun = not page["hasMore"]

    @property
    def is_done(self) -> bool:
        return self.is_ended if self.is_refused else self.state == self.wanted

    @property
    def state(self) -> set[Any]:
        """Return the tokens that it holds, or what it was sent after the list."""
        if self.name == TOKEN_CHANGES:
            return applied(self.begun, items(self.pages, "changes"))
        if self.name == TARIFF_CHANGES:
            return applied_tariffs(self.begun, items(self.pages, "changes"))
        return self.shown(self.pages)

    def shown(self, pages: Iterable[Any]) -> set[Any]:
        if self.name == TOKEN_CHANGES:
            return tokens(items(pages, "changes"))
        if self.name == SESSION_CHANGES:
            return {session(each) for each in items(pages, "sessions")}
        if self.name == CDR_CHANGES:
            return {cdr(each) for each in items(pages, "cdrs")}
        if self.name == TARIFF_CHANGES:
            return self.expected.of_worlds(tariffs(items(pages, "changes")))
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
        if self.name == CDR_CHANGES:
            return self.expected.cdrs(moment, only_waiting=moment == BEFORE, **only_news)
        if self.name == TARIFF_CHANGES:
            return self.expected.tariffs(moment)
        return self.expected.requests(moment, **only_news)

    @property
    def about(self) -> tuple[Any, ...]:
        return self.name, self.expected.caller

    def check(self) -> None:
        """Hold the list, and what it has in the end, against the model."""
        assert self.shown(self.first) == self.begun, self.about
        assert self.is_refused or self.state == self.wanted, self.about


#: What followers are sent, page by page.
Pages = AsyncGenerator[tuple[Follower, Any]]


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
                    self._check_tasks()
        except TimeoutError:
            raise AssertionError(f"never came: {[each.about for each in waiting]}") from None
        self._check_tasks()

    def _check_tasks(self) -> None:
        for each in self.tasks:
            if each.done():
                each.result()

    async def stop(self) -> None:
        for each in self.tasks:
            each.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def follow(matrix: PrivateMatrix, worlds: Worlds) -> Streams:
    """Follow every field in the name of everybody whose key is valid at the first moment."""
    streams = Streams()
    for caller, world in callers_of(worlds):
        if not world.is_refused(caller, BEFORE):
            _follow(matrix, worlds, caller, world, streams)
    return streams


def _follow(matrix: PrivateMatrix, worlds: Worlds, caller: Held | None, world: World, streams: Streams) -> None:
    is_refused = world.is_refused(caller, AFTER)
    followers = [Follower(Expected(worlds, caller), name, is_refused) for name in FOLLOWED]
    if caller in world.roles and not world.draft.by_socket[world.roles.index(caller)]:
        reading = [_follow_events(matrix, each) for each in followers]
    else:
        reading = [_follow_socket(matrix, caller, followers)]
    streams.followers += followers
    streams.tasks += [asyncio.create_task(_take(each)) for each in reading]


async def _take(pages: Pages) -> None:
    async with aclosing(pages):
        async for follower, payload in pages:
            follower.take(payload)


async def _follow_socket(matrix: PrivateMatrix, caller: Held | None, followers: Sequence[Follower]) -> Pages:
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


async def _follow_events(matrix: PrivateMatrix, follower: Follower) -> Pages:
    """Speak HTTP/1.0, in which an answer is not cut into pieces."""
    url = httpx.URL(matrix.made.hub.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    body = json.dumps({"query": subscription(follower.name)})
    headers = {
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
        "Content-Length": len(body),
        **matrix.made.headers(follower.expected.caller),
    }
    lines = ["POST /graphql HTTP/1.0", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    writer.write("\r\n".join(lines).encode())
    try:
        async for line in reader:
            name, _, value = line.decode().partition(": ")
            if name == "data":
                yield follower, json.loads(value)
    finally:
        writer.close()
        await writer.wait_closed()
