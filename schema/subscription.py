"""The subscription root and its source, the fan-out of the process. Transports provide the sinks."""

from collections.abc import AsyncGenerator
from typing import Annotated, Final

import strawberry
from graphql import FieldNode, GraphQLField, GraphQLSchema
from graphql.execution.values import VariableValues

from app.errors import BadInput
from app.live.feeds.authorisation import AUTHORISATIONS
from app.live.feeds.authorisation_request import REQUESTS
from app.live.feeds.cdr import CDRS
from app.live.feeds.evse import EVSES
from app.live.feeds.parking import SPOTS
from app.live.feeds.session import SESSIONS
from app.live.feeds.tariff import TARIFFS
from app.live.log.rows import check_cursor, read_position
from app.live.stream.fanout import Fanout
from app.live.stream.sink import Sink
from app.live.stream.sink import Subscription as Running
from schema.changes import Following, following
from schema.documents import Operation
from schema.private_changes import Following as PrivateFollowing
from schema.private_changes import following_private
from schema.private_entities import FOLLOWED
from schema.query import Kinds, Matching, OfProvider, Within
from schema.root_fields import Context, Info
from schema.scalars import Cursor
from schema.select import Selected
from schema.types.authorisation import AuthorisationPage, AuthorisationRequestPage, SessionPage
from schema.types.cdr import CdrPage
from schema.types.change import ChangePage
from schema.types.tariff import TariffPage

#: What can be followed.
FEEDS: Final = (EVSES, SPOTS, TARIFFS, AUTHORISATIONS, REQUESTS, SESSIONS, CDRS)

Resumed = Annotated[
    Cursor | None,
    strawberry.argument(description="Continue from there, without loss, or fail with CURSOR_EXPIRED."),
]
Initial = Annotated[bool, strawberry.argument(description="Begin with the whole present state. Not with cursor.")]


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
        cursor: Resumed = None,
        initial: Initial = False,
    ) -> AsyncGenerator[ChangePage, None]:
        raise not_at_once()
        yield

    @strawberry.subscription(
        description="Tokens that come, change, expire or are removed, with those of providers whose contract begins, "
        "ends or rests: for operators those of EVSPs with a contract in force, for an EVSP its own. "
        "OCHP GetRoamingAuthorisationListUpdates."
    )
    async def roaming_authorisation_changes(
        self, info: Info, cursor: Resumed = None, initial: Initial = False
    ) -> AsyncGenerator[AuthorisationPage, None]:
        raise not_at_once()
        yield

    @strawberry.subscription(description="Sessions of your role that begin, change or end.")
    async def session_changes(
        self, info: Info, cursor: Resumed = None, initial: Initial = False
    ) -> AsyncGenerator[SessionPage, None]:
        raise not_at_once()
        yield

    @strawberry.subscription(
        description="CDRs of your role that come or change. With `initial` first those that wait for you: for an EVSP "
        "the ACCEPTED and REVISED ones, for an operator the DECLINED ones. OCHP GetCDRs, CheckCDRs."
    )
    async def cdr_changes(
        self, info: Info, cursor: Resumed = None, initial: Initial = False
    ) -> AsyncGenerator[CdrPage, None]:
        raise not_at_once()
        yield

    @strawberry.subscription(
        description="Requests for single authorisations: for an EVSP those about its tokens, to notice misuse; for an "
        "operator its own."
    )
    async def authorisation_request_changes(
        self, info: Info, cursor: Resumed = None, initial: Initial = False
    ) -> AsyncGenerator[AuthorisationRequestPage, None]:
        raise not_at_once()
        yield

    @strawberry.subscription(
        description="Tariffs that come, change for you, or go, also with operators that come into view or leave it. "
        "A change that is meant for another EVSP is none."
    )
    async def tariff_changes(
        self, info: Info, provider_id: OfProvider = None, cursor: Resumed = None, initial: Initial = False
    ) -> AsyncGenerator[TariffPage, None]:
        raise not_at_once()
        yield


def not_at_once() -> BadInput:
    return BadInput("subscriptions are not answered at once", "open a WebSocket, or take text/event-stream")


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
        query = await _following(context, asked.field, asked.node, asked.selected, asked.key)
        initial, is_resumed = query.arguments["initial"], query.arguments.get("cursor") is not None
        if initial and is_resumed:
            raise BadInput(
                "cursor and initial are both given; possible: one of them, or none for what happens from now on"
            )
        cursor = await query.start(initial)
        if is_resumed:
            async with self.fanout.database.reading() as reader:
                await check_cursor(reader, cursor, await read_position(reader), query.kept)
        return self.fanout.follow(query, sink, cursor)


async def _following(
    context: Context, field: GraphQLField, node: FieldNode, selected: Selected, root_key: str
) -> Following | PrivateFollowing:
    entity = FOLLOWED.get(node.name.value)
    if entity is None:
        return await following(context, field, node, selected, root_key)
    return following_private(context, entity, field, node, selected, root_key)
