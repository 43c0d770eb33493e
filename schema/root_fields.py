"""Root fields whose selection is compiled: how one is declared, and how one is answered.

`schema.endpoint` answers operations of compiled fields without graphql-core's executor. Strawberry executes operations
that hold other fields as well, where resolvers call `answer` for the compiled ones. Both use `app.read.execute.read`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import strawberry
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from app.auth import Caller, Keys
from app.db.engine import Database
from app.read.execute import read
from app.read.search import Request
from app.settings import Settings
from app.worker_thread import in_worker_thread
from schema.areas import takes_long
from schema.select import Selected, Selector, details_of

ROOT = "root"
NO_VARIABLES = VariableValues({}, {})

#: What a root field searches for; None answers null without a look.
Requested = Callable[[Any, Caller | None], Request | None]


@dataclass(slots=True)
class Context:
    """One request: who is asking, and what answers it."""

    database: Database
    keys: Keys
    caller: Caller | None
    settings: Settings
    variables: VariableValues = NO_VARIABLES
    #: As they came, before any coercion: what uploads are read from.
    raw_variables: dict[str, Any] = field(default_factory=dict)

    #: The instant of the request: everything in it happens now.
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


Info = strawberry.Info[Context, None]


def root(requested: Requested, description: str) -> Callable[[Any], Any]:
    """Declare a compiled root field."""
    return lambda resolver: strawberry.field(resolver, description=description, metadata={ROOT: requested})


def requested_by(field_def: Any) -> Requested | None:
    """Return what a graphql-core field searches for; None when it is not a compiled one."""
    declared = field_def.extensions.get("strawberry-definition")
    return declared.metadata.get(ROOT) if declared is not None and declared.metadata else None


def raw_info(info: Info) -> Any:
    """Return graphql-core's own view of the field being resolved: it alone has the nodes of the document."""
    return info._raw_info  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownVariableType]


async def answer(info: Info) -> Any:
    """Answer the field that is being resolved, as JSON that the executor lets pass."""
    raw = raw_info(info)
    requested = requested_by(raw.parent_type.fields[raw.field_name])
    assert requested is not None
    nodes = list(raw.field_nodes)
    arguments = get_argument_values(raw.parent_type.fields[raw.field_name], nodes[0], info.context.variables)
    return await answer_request(info, await request_of(requested, arguments, info.context.caller))


async def request_of(requested: Requested, arguments: Any, caller: Caller | None) -> Request | None:
    """Return what a root field searches for; a long route is decoded in the worker thread."""
    if takes_long(arguments.get("within")):
        return await in_worker_thread(partial(requested, arguments, caller))
    return requested(arguments, caller)


async def answer_request(info: Info, request: Request | None) -> Any:
    """Read what the present field's selection asks of `request`."""
    if request is None:
        return None
    raw, context = raw_info(info), info.context
    selector = Selector(raw.schema, raw.operation, raw.fragments, context.variables)
    selected = selector.select(raw.return_type, details_of(raw.field_nodes))
    value = await read_selected(context, selected, request)
    return None if value is None else orjson.Fragment(encode(value))


async def read_selected(context: Context, selected: Selected, request: Request) -> Any:
    """Read a request with the nested arguments of its selection."""
    selection, nested = selected.bind(context.variables, context.now)
    return await read(context.database, context.caller, selection, request, context.now, nested)


def encode(value: Any) -> bytes:
    """Write an answer; what orjson does not know (the driver's own kind of UUID) goes as text."""
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)


class CompiledExecutionContext(StrawberryGraphQLCoreExecutionContext):
    """Accepts finished JSON where graphql-core would complete an object or a list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Resolvers get plain values only; compiling a selection needs to know which variables were given at all.
        if isinstance(self.context_value, Context):
            self.context_value.variables = self.variable_values

    def complete_value(self, *args: Any, **kwargs: Any) -> Any:
        # (return_type, field_details_list, info, path, result, ...): the fifth is what a resolver gave.
        result = args[4] if len(args) > 4 else kwargs["result"]
        if isinstance(result, orjson.Fragment):
            return result
        return super().complete_value(*args, **kwargs)  # pyright: ignore[reportUnknownMemberType]
