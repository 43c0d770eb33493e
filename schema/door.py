"""The door of GraphQL, whichever transport leads to it: who asks, what, whether it may be asked, and one of two ways.

Queries whose root fields are all compiled never meet the executor: variables, arguments, one statement each, bytes. All
else is executed.

What may keep the event loop waiting, reading a new document and describing the schema, is done beside it.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import isawaitable
from math import ceil
from typing import Any, Protocol
from uuid import UUID
from weakref import WeakValueDictionary

from graphql import ExecutionResult, FieldNode, GraphQLError
from graphql.execution import execute  # pyright: ignore[reportUnknownVariableType]
from graphql.execution.values import VariableValues, get_variable_values
from strawberry import Schema

from app.auth import Caller, Keys
from app.budget import Budgets, Payer, RateLimited, Standing
from app.db.engine import Database, Overloaded
from app.errors import HubError, Unauthenticated
from app.live.outlet import Outlet, Subscription
from app.settings import Settings
from app.worker_thread import beside
from schema.documents import MAXIMUM_ERRORS, CompiledField, Document, Documents, Operation
from schema.errors import BAD_INPUT, VALIDATION_FAILED, formatted
from schema.http import REFUSED, Answer, Asked, BadRequest
from schema.query_cost import Limits, TooComplex, count_values
from schema.root_fields import NO_VARIABLES, CompiledExecutionContext, Context, encode, read_selected, request_of
from schema.streams import TooManyOpen
from schema.uploads import without_uploads

#: Per character of a new document. Reading one takes 5 microseconds, as long as an object that comes back, at worst 18.
READING_COST = 4
#: Per character of a long text in the variables: of a polyline, which is decoded and cut into pieces.
LONG_TEXT_COST = 0.25


class Source(Protocol):
    """What subscriptions are fed by."""

    async def subscribe(
        self, context: Context, operation: Operation, variables: VariableValues, outlet: Outlet
    ) -> Subscription:
        """Begin a subscription. Raises: HubError or GraphQLError, and then nothing was begun."""
        ...


class Invalid(Exception):
    """A document or its variables are not what the schema wants."""

    def __init__(self, errors: Sequence[GraphQLError], default_code: str = BAD_INPUT) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.default_code = default_code


@dataclass(slots=True)
class Asking:
    """One request on its way in: who asks, who pays, and what."""

    caller: Caller | None
    payer: Payer
    asked: Asked
    by_get: bool = False


@dataclass(slots=True)
class Entry:
    """One operation that was let in and paid for.

    `given`: the variables that GraphQL coerces. `extensions`: what its answer says of the budget.
    """

    asking: Asking
    operation: Operation
    given: dict[str, Any]
    extensions: Any


class Door:
    """Lets operations in, and answers them."""

    def __init__(
        self,
        schema: Schema,
        database: Database,
        keys: Keys,
        budgets: Budgets,
        settings: Settings,
        development: bool,
        source: Source | None = None,
    ) -> None:
        self.core = schema._schema  # pyright: ignore[reportPrivateUsage]
        self.database = database
        self.keys = keys
        self.budgets = budgets
        self.settings = settings
        self.development = development
        self.source = source
        self.limits = Limits.of(settings)
        self._reading: WeakValueDictionary[str | UUID, asyncio.Lock] = WeakValueDictionary()
        self.documents = Documents(self.core, self.limits)
        self.strangers_documents = self.documents if development else Documents(self.core, self.limits, True)

    async def caller(self, authorization: str | None, address: str) -> Caller | None:
        """Say who is asking. Raises: Unauthenticated, RateLimited, Overloaded."""
        if authorization is None:
            return None
        stranger = self.budgets.payer(None, address)
        guesses = self.keys.is_new(authorization)
        if guesses:
            await self.budgets.guess(stranger)
        try:
            caller = await self.keys.verify(authorization)
        except Unauthenticated:
            # Whoever guesses keys pays for it as a stranger.
            await self.budgets.admit(stranger)
            raise
        if guesses:
            self.budgets.forgive(stranger)
        return caller

    async def payer(self, caller: Caller | None, address: str) -> Payer:
        """Say who pays, and charge one request. Raises: RateLimited."""
        payer = self.budgets.payer(caller.key_id if caller else None, address)
        await self.budgets.admit(payer)
        return payer

    async def enter(self, asking: Asking) -> Entry:
        """Let an operation in and charge its cost. Raises: HubError, Invalid."""
        documents = self.documents if asking.caller else self.strangers_documents
        document = documents.known(asking.asked.query) or await self._read(asking, documents)
        if document.errors:
            raise Invalid(document.errors, VALIDATION_FAILED)
        operation = document.operation(asking.asked.operation_name)
        if asking.by_get and operation.is_mutation:
            raise BadRequest("GET is possible for queries only; possible: POST", status=405, allow="POST")
        given = without_uploads(operation.node, asking.asked.variables)
        values, characters = count_values(given, self.limits.values)
        self.limits.hold("values", values, "values in the variables")
        cost = operation.cost.of(asking.asked.variables)
        self.limits.hold("cost", cost, "the request's cost")
        cost += LONG_TEXT_COST * characters
        standing = await self.budgets.spend(asking.payer, cost)
        return Entry(asking, operation, given, None if standing is None else _shown(cost, standing))

    async def answer(self, entry: Entry) -> Answer:
        """Answer a query or a mutation. Raises: HubError, Invalid; Overloaded of a query, in which nothing is done."""
        operation = entry.operation
        if operation.is_query:
            variables = self._coerced(entry)
            compiled = operation.compiled(self.core, variables)
            if compiled is not None:
                return await _compiled(compiled, self._context(entry, variables), entry.extensions)
        try:
            return await self._executed(entry)
        finally:
            # graphql-core's execution is a cycle, which would keep what was uploaded until the collector comes by.
            entry.asking.asked.variables.clear()

    async def subscribe(self, entry: Entry, outlet: Outlet) -> Subscription:
        """Begin a subscription. Raises: HubError, Invalid, GraphQLError."""
        assert self.source is not None, "a schema with subscriptions has a source of them"
        variables = self._coerced(entry)
        return await self.source.subscribe(self._context(entry, variables), entry.operation, variables, outlet)

    # ---------------------------------------------------------------- on the way

    async def _read(self, asking: Asking, documents: Documents) -> Document:
        text = asking.asked.query
        await self.budgets.spend(asking.payer, READING_COST * min(len(text), self.limits.characters))
        # One at a time for each: who sends many waits for himself, not everybody for him.
        async with self._reading.setdefault(asking.payer.subject, asyncio.Lock()):
            document = documents.known(text)
            if document is None:
                document = await beside(lambda: documents.read(text))
                documents.keep(text, document)
        return document

    def _coerced(self, entry: Entry) -> VariableValues:
        taken = entry.operation.taken(entry.given)
        if taken is not None:
            return taken
        definitions = entry.operation.node.variable_definitions or ()
        variables = get_variable_values(self.core, definitions, entry.given, MAXIMUM_ERRORS, self._hides(entry))
        if isinstance(variables, list):
            raise Invalid(variables)
        return variables

    def _hides(self, entry: Entry) -> bool:
        return entry.asking.caller is None and not self.development

    def _context(self, entry: Entry, variables: VariableValues | None = None) -> Context:
        asking = entry.asking
        raw = asking.asked.variables
        return Context(self.database, self.keys, asking.caller, self.settings, variables or NO_VARIABLES, raw)

    async def _executed(self, entry: Entry) -> Answer:
        operation = entry.operation

        def run() -> ExecutionResult | Awaitable[ExecutionResult]:
            return execute(
                self.core,
                operation.document,
                context_value=self._context(entry),
                variable_values=entry.given,
                operation_name=entry.asking.asked.operation_name,
                max_coercion_errors=MAXIMUM_ERRORS,
                executor_class=CompiledExecutionContext,
                hide_suggestions=self._hides(entry),
            )

        began = await beside(run) if operation.introspects else run()
        result = await began if isawaitable(began) else began
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            raise Invalid(result.errors)
        for error in result.errors or ():
            if operation.is_query and isinstance(error.original_error, Overloaded):
                raise error.original_error
        return Answer(_body(result.data, result.errors or (), entry.extensions), way="executed")


async def _compiled(fields: tuple[CompiledField, ...], context: Context, extensions: Any) -> Answer:
    data: dict[str, Any] | None = {}
    errors: list[GraphQLError] = []
    for field in fields:
        try:
            value = await _value(field, context)
        except Overloaded:
            raise
        except Exception as error:
            errors.append(located(error, field.node, field.key))
            value = None
            if field.non_null:
                data = None
        if data is not None:
            data[field.key] = value
    return Answer(_body(data, errors, extensions))


async def _value(field: CompiledField, context: Context) -> Any:
    if field.field is None or field.requested is None or field.selected is None:
        return field.constant
    arguments = field.arguments(context.variables)
    request = await request_of(field.requested, arguments, context.caller)
    return None if request is None else await read_selected(context, field.selected, request)


def located(error: Exception, node: FieldNode, key: str) -> GraphQLError:
    """Say where in the document and the answer an error belongs."""
    if isinstance(error, GraphQLError) and error.original_error is None:
        return GraphQLError(error.message, error.nodes or [node], path=[key])
    return GraphQLError(str(error), [node], path=[key], original_error=error)


# ---------------------------------------------------------------- what goes back


def _body(data: Any, errors: Iterable[GraphQLError], extensions: Any) -> bytes:
    body: dict[str, Any] = {"data": data}
    shown = [formatted(error) for error in errors]
    if shown:
        body["errors"] = shown
    if extensions is not None:
        body["extensions"] = extensions
    return encode(body)


def _shown(cost: float, standing: Standing) -> Any:
    full_at = datetime.fromtimestamp(ceil(standing.full_at), UTC)
    return {"cost": {"requested": ceil(cost), "remaining": int(standing.remaining), "resetAt": full_at}}


def shown_errors(error: Exception) -> list[dict[str, Any]]:
    """Give GraphQL's errors for what made an operation impossible; what nobody foresaw is logged."""
    match error:
        case Invalid():
            return [formatted(each, error.default_code) for each in error.errors]
        case GraphQLError():
            return [formatted(error)]
        case HubError():
            return [formatted(GraphQLError(error.message, original_error=error))]
        case _:
            return [formatted(GraphQLError("unforeseen", original_error=error))]


def refused(error: Exception) -> Answer:
    """Give the answer over HTTP to what was refused."""
    headers = _headers(error) if isinstance(error, HubError) else ()
    return Answer(encode({"errors": shown_errors(error)}), REFUSED, _status(error), tuple(headers))


def _status(error: BaseException | None) -> int | None:
    """Give the status of a refusal that no media type has a say in."""
    match error:
        case Invalid():
            cause = error.errors[0].original_error
            return _status(cause) if isinstance(cause, HubError) else None
        case BadRequest():
            return error.status
        case Unauthenticated():
            return 401
        case RateLimited() | TooManyOpen():
            return 429
        case Overloaded():
            return 503
        case TooComplex():
            return 400
        case HubError() | GraphQLError():
            return None
        case _:
            return 500


def _headers(error: HubError) -> Iterator[tuple[bytes, bytes]]:
    if error.retry_after_s is not None:
        yield b"retry-after", str(error.retry_after_s).encode()
    match error:
        case Unauthenticated():
            yield b"www-authenticate", b"Bearer"
        case BadRequest(status=405):
            yield b"allow", error.allow.encode()
        case BadRequest(status=408):
            yield b"connection", b"close"
        case _:
            pass
