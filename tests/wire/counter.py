"""A schema with subscriptions that count, and what feeds them: enough to see what a transport does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import strawberry
from graphql import FieldNode
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.schema.config import StrawberryConfig

from app.errors import HubError
from app.live.stream.sink import Sink
from schema.documents import Operation
from schema.mutation import Mutation
from schema.query import Query
from schema.root_fields import CompiledExecutionContext, Context
from schema.scalars import SCALARS

EVERY_S = 0.01
FURTHEST = 1_000_000


class TooFar(HubError):
    """The counter does not go there."""

    code = "NOT_POSSIBLE"


@strawberry.type
class Subscription:
    """What is declared here is only asked for; `Counter` below gives it."""

    @strawberry.subscription
    async def count(self, to: int, after: int = 0) -> AsyncIterator[int]:
        """Count to a number, and end."""
        yield 0

    @strawberry.subscription
    async def ticks(self, after: int = 0) -> AsyncIterator[int]:
        """Count for ever."""
        yield 0

    @strawberry.subscription
    async def role(self) -> AsyncIterator[str | None]:
        """Yield the caller's role."""
        yield None

    @strawberry.subscription
    async def flood(self, size: int) -> AsyncIterator[str]:
        """Send as many pages of a size as are taken."""
        yield ""

    @strawberry.subscription
    async def fails(self) -> AsyncIterator[int]:
        """Yield a number, and fail."""
        yield 0

    @strawberry.subscription
    async def breaks(self) -> AsyncIterator[int]:
        """Raise an unexpected error."""
        yield 0

    @strawberry.subscription
    async def waits(self) -> AsyncIterator[int]:
        """Never begin."""
        yield 0


COUNTING = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    execution_context_class=CompiledExecutionContext,
    config=StrawberryConfig(scalar_map=SCALARS),
)


class Counting:
    """A subscription that runs."""

    weight = 1

    def __init__(self, sink: Sink, work: Callable[["Counting"], Any]) -> None:
        self.sink = sink
        self.resumed = asyncio.Event()
        self.task = asyncio.create_task(work(self))

    def give(self, **data: Any) -> None:
        self.sink.page(orjson.dumps({"data": data}).decode())

    def resume(self) -> None:
        self.resumed.set()

    def close(self) -> None:
        if self.task is not asyncio.current_task():
            self.task.cancel()

    async def readiness(self) -> None:
        while not self.sink.ready:
            self.resumed.clear()
            await self.resumed.wait()


class Counter:
    """Feeds the subscriptions; `given` counts the characters of floods."""

    def __init__(self) -> None:
        self.given = 0
        self.running: list[Counting] = []

    async def subscribe(
        self, context: Context, operation: Operation, variables: VariableValues, sink: Sink
    ) -> Counting:
        node = operation.node.selection_set.selections[0]
        assert isinstance(node, FieldNode)
        root = COUNTING._schema.subscription_type
        assert root is not None
        arguments = get_argument_values(root.fields[node.name.value], node, variables)
        name, key = node.name.value, node.alias.value if node.alias else node.name.value
        if arguments.get("after", 0) > FURTHEST:
            raise TooFar(f"the counter does not go beyond {FURTHEST}")
        if name == "breaks":
            raise ZeroDivisionError("a secret of the insides")
        if name == "waits":
            await asyncio.Event().wait()
        work = getattr(self, f"_{name}")
        counting = Counting(sink, lambda counting: work(counting, key, context, **arguments))
        self.running = [each for each in self.running if not each.task.done()] + [counting]
        return counting

    async def _count(self, counting: Counting, key: str, context: Context, to: int, after: int) -> None:
        for number in range(after + 1, to + 1):
            await counting.readiness()
            counting.give(**{key: number})
        counting.sink.complete()

    async def _ticks(self, counting: Counting, key: str, context: Context, after: int) -> None:
        while True:
            await counting.readiness()
            after += 1
            counting.give(**{key: after})
            await asyncio.sleep(EVERY_S)

    async def _role(self, counting: Counting, key: str, context: Context) -> None:
        counting.give(**{key: context.caller.role.value if context.caller else None})
        counting.sink.complete()

    async def _flood(self, counting: Counting, key: str, context: Context, size: int) -> None:
        while True:
            await counting.readiness()
            self.given += size
            counting.give(**{key: "x" * size})
            await asyncio.sleep(0)

    async def _fails(self, counting: Counting, key: str, context: Context) -> None:
        counting.give(**{key: 1})
        counting.sink.fail([{"message": "no more of this", "extensions": {"code": "NOT_POSSIBLE"}}])
