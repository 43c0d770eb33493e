"""The subscription root and its source, the fan-out of the process. Transports provide the sinks."""

from collections.abc import AsyncGenerator
from typing import Annotated, Final

import strawberry
from graphql import GraphQLSchema
from graphql.execution.values import VariableValues

from app.errors import BadInput
from app.live.feeds.evse import EVSES
from app.live.feeds.parking import SPOTS
from app.live.stream.fanout import Fanout
from app.live.stream.sink import Sink
from app.live.stream.sink import Subscription as Running
from schema.changes import following
from schema.documents import Operation
from schema.query import Kinds, Matching, Within
from schema.root_fields import Context, Info
from schema.scalars import Cursor
from schema.types.change import ChangePage

#: What can be followed.
FEEDS: Final = (EVSES, SPOTS)


@strawberry.type(description="Subscriptions: over graphql-transport-ws, or server-sent events.")
class Subscription:
    @strawberry.subscription(
        description="Pages of changes. The first one with `hasMore: false` completes the present state; later changes "
        "are delivered as they happen, those within 50 ms on one page. A client that takes pages too slowly gets "
        "RESYNC. `availableNow` means the combined status alone; `usableAt` is refused."
    )
    async def changes(
        self,
        info: Info,
        within: Within = None,
        matching: Matching = None,
        kinds: Kinds = None,
        cursor: Annotated[
            Cursor | None,
            strawberry.argument(description="Continue from there, without loss, or fail with CURSOR_EXPIRED."),
        ] = None,
        initial: Annotated[
            bool, strawberry.argument(description="Begin with the whole present state. Not with cursor.")
        ] = False,
    ) -> AsyncGenerator[ChangePage, None]:
        raise BadInput("subscriptions are not answered at once", "open a WebSocket, or take text/event-stream")
        yield


class ChangeSource:
    """Feeds the subscriptions of a schema."""

    def __init__(self, schema: GraphQLSchema, fanout: Fanout) -> None:
        self.schema = schema
        self.fanout = fanout

    async def subscribe(self, context: Context, operation: Operation, variables: VariableValues, sink: Sink) -> Running:
        """Begin a subscription. Raises: HubError or GraphQLError, and then nothing was begun."""
        context.variables = variables
        asked = operation.subscribed(self.schema, variables)
        assert asked.field is not None
        assert asked.selected is not None
        query = await following(context, asked.field, asked.node, asked.selected, asked.key)
        initial = query.arguments["initial"]
        if initial and query.arguments.get("cursor") is not None:
            raise BadInput(
                "cursor and initial are both given; possible: one of them, or none for what happens from now on"
            )
        return self.fanout.follow(query, sink, await query.start(initial))
