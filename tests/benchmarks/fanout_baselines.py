"""What the fan-out is measured against: Strawberry's own subscriptions, and a bare broadcast of equal bytes.

POST /publish?count=N&page=M makes either publish N changes, one for each area in turn, M changes of an area on a page;
neither has a database.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any
from urllib.parse import parse_qs

import orjson
import strawberry
from fastapi import FastAPI
from strawberry.fastapi import GraphQLRouter

from tests.benchmarks.fanout_questions import AREAS, change_of, page_of


class Published:
    """The followers of each area, and the changes published."""

    def __init__(self) -> None:
        self.areas: list[dict[Any, None]] = [{} for _ in range(AREAS)]
        self.number = 0

    def pages(self, count: int, page: int) -> Iterator[tuple[int, list[Any]]]:
        """Make the next changes. Shape: area, the changes of a page of it."""
        end = self.number + count
        while self.number < end:
            numbers = range(self.number, min(self.number + AREAS * page, end))
            for first in numbers[:AREAS]:
                area = first % AREAS
                yield area, [change_of(area, number) for number in numbers[first - numbers[0] :: AREAS]]
            self.number = numbers[-1] + 1


@strawberry.type
class Operator:
    party_id: str
    name: str


@strawberry.type
class Point:
    latitude: float
    longitude: float


@strawberry.type
class Status:
    major: str
    minor: str | None


@strawberry.type
class Evse:
    evse_id: str
    operator: Operator
    position: Point
    status: Status


@strawberry.type
class Change:
    kind: str
    action: str
    id: str
    evse: Evse


@strawberry.type
class ChangePage:
    cursor: str
    has_more: bool
    changes: list[Change]


def _typed(change: Any) -> Change:
    evse = change["evse"]
    its = Evse(
        evse_id=evse["evseId"],
        operator=Operator(party_id=evse["operator"]["partyId"], name=evse["operator"]["name"]),
        position=Point(**evse["position"]),
        status=Status(**evse["status"]),
    )
    return Change(kind=change["kind"], action=change["action"], id=change["id"], evse=its)


def strawberry_app() -> FastAPI:
    """Make a hub as Strawberry's documentation does: a queue and an execution for each subscriber."""
    published = Published()

    @strawberry.type
    class Query:
        nothing: str = ""

    @strawberry.type
    class Subscription:
        @strawberry.subscription
        async def changes(self, area: int) -> AsyncGenerator[ChangePage, None]:
            queue: asyncio.Queue[list[Change]] = asyncio.Queue()
            published.areas[area][queue] = None
            while True:
                yield ChangePage(cursor="c" * 40, has_more=False, changes=await queue.get())

    app = FastAPI()
    schema = strawberry.Schema(Query, subscription=Subscription)
    app.include_router(GraphQLRouter(schema, subscription_protocols=["graphql-transport-ws"]), prefix="/graphql")

    @app.post("/publish")
    async def publish(count: int, page: int) -> int:
        for area, changes in published.pages(count, page):
            for queue in published.areas[area]:
                queue.put_nowait([_typed(change) for change in changes])
        return count

    return app


class BroadcastApp:
    """Sends each page as text to all sockets of its area, and knows no GraphQL but the few words of the protocol."""

    def __init__(self) -> None:
        self.published = Published()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._follow(receive, send)
        else:
            asked = parse_qs(scope["query_string"].decode())
            await self._publish(int(asked["count"][0]), int(asked["page"][0]))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1"})

    async def _live(self, receive: Any, send: Any) -> None:
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    async def _follow(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        while (message := await receive())["type"] == "websocket.receive":
            asked = orjson.loads(message["text"])
            if asked["type"] == "connection_init":
                await send({"type": "websocket.send", "text": '{"type":"connection_ack"}'})
            else:
                self.published.areas[asked["payload"]["variables"]["area"]][send] = None

    async def _publish(self, count: int, page: int) -> None:
        for area, changes in self.published.pages(count, page):
            text = f'{{"id":"1","type":"next","payload":{orjson.dumps(page_of(changes)).decode()}}}'
            for send in self.published.areas[area]:
                await send({"type": "websocket.send", "text": text})
