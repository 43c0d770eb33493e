"""The endpoint of GraphQL for every transport: documents, cost, and one of two ways to an answer.

Queries whose root fields are all compiled never meet the executor: variables, arguments, one statement each, bytes.
Everything else is executed.

What could block the event loop, parsing a new document and introspection, runs in the worker thread.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import isawaitable
from math import ceil
from time import time
from typing import Any, Protocol
from uuid import UUID
from weakref import WeakValueDictionary

from graphql import ExecutionResult, FieldNode, GraphQLError
from graphql.execution import execute  # pyright: ignore[reportUnknownVariableType]
from graphql.execution.values import VariableValues, get_variable_values
from strawberry import Schema

from app.auth import Caller
from app.budget import Balance, Payer
from app.db.engine import Database, Overloaded
from app.errors import HubError
from app.http.admission import Admission
from app.http.answers import Answer
from app.http.refusals import BadRequest, headers_of, status_of
from app.live.stream.sink import Sink, Subscription
from app.worker_thread import in_worker_thread
from schema.documents import MAXIMUM_ERRORS, CompiledField, Document, Documents, Operation
from schema.errors import BAD_INPUT, VALIDATION_FAILED, formatted, shown
from schema.graphql_request import GraphQLRequest
from schema.query_cost import Limits, TooComplex, count_values
from schema.root_fields import NO_VARIABLES, CompiledExecutionContext, Context, encode, read_selected, request_of
from schema.uploads import without_uploads

#: `way` of an answer to a request that was never executed.
REFUSED = "refused"
#: Per character of a new document. Parsing one takes 5 microseconds, as long as an object of an answer, at worst 18.
PARSING_COST = 4
#: Per character of a long text in the variables: of a polyline, which is decoded and cut into pieces.
LONG_TEXT_COST = 0.25


class Source(Protocol):
    """Where subscriptions get their pages from."""

    async def subscribe(
        self, context: Context, operation: Operation, variables: VariableValues, sink: Sink
    ) -> Subscription:
        """Begin a subscription. Raises: HubError or GraphQLError, and then nothing was begun."""
        ...


class Invalid(Exception):
    """A document or its variables do not fit the schema."""

    def __init__(self, errors: Sequence[GraphQLError], default_code: str = BAD_INPUT) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.default_code = default_code


# Made for every request and so not frozen: that would triple what making them takes.


@dataclass(slots=True)
class Incoming:
    """A request whose caller is known."""

    caller: Caller | None
    payer: Payer
    request: GraphQLRequest
    by_get: bool = False


@dataclass(slots=True)
class Accepted:
    """One operation, validated and paid for.

    `given`: the variables that GraphQL coerces. `extensions`: the budget, as the answer shows it.
    """

    incoming: Incoming
    operation: Operation
    given: dict[str, Any]
    extensions: Any


class Endpoint:
    """Validates operations, charges their cost and answers them."""

    def __init__(
        self,
        schema: Schema,
        database: Database,
        admission: Admission,
        development: bool,
        source: Source | None = None,
    ) -> None:
        self.core = schema._schema  # pyright: ignore[reportPrivateUsage]
        self.database = database
        self.admission = admission
        self.budgets = admission.budgets
        self.settings = admission.settings
        self.development = development
        self.source = source
        self.limits = Limits.of(self.settings)
        self._parsing: WeakValueDictionary[str | UUID, asyncio.Lock] = WeakValueDictionary()
        self.documents = Documents(self.core, self.limits)
        self.anonymous_documents = self.documents if development else Documents(self.core, self.limits, True)

    async def accept(self, incoming: Incoming) -> Accepted:
        """Validate an operation and charge its cost. Raises: HubError, Invalid."""
        request = incoming.request
        documents = self.documents if incoming.caller else self.anonymous_documents
        document = documents.known(request.query) or await self._parse(incoming, documents)
        if document.errors:
            raise Invalid(document.errors, VALIDATION_FAILED)
        operation = document.operation(request.operation_name)
        if incoming.by_get and operation.is_mutation:
            raise BadRequest("GET is possible for queries only; possible: POST", status=405, allow="POST")
        given = without_uploads(operation.node, request.variables)
        values, characters = count_values(given, self.limits.values)
        self.limits.hold("values", values, "values in the variables")
        cost = operation.cost.of(request.variables)
        self.limits.hold("cost", cost, "the request's cost")
        cost += LONG_TEXT_COST * characters
        balance = self.budgets.charge_cost(incoming.payer, cost)
        return Accepted(incoming, operation, given, None if balance is None else _spent(cost, balance))

    async def answer(self, accepted: Accepted) -> Answer:
        """Answer a query or a mutation. Raises: HubError, Invalid; Overloaded of a query, in which nothing is done."""
        operation = accepted.operation
        if operation.is_query:
            variables = self._coerced(accepted)
            compiled = operation.compiled(self.core, variables)
            if compiled is not None:
                return await _compiled(compiled, self._context(accepted, variables), accepted.extensions)
        try:
            return await self._executed(accepted)
        finally:
            # graphql-core's execution is a cycle, which would keep what was uploaded until the next garbage collection.
            accepted.incoming.request.variables.clear()

    async def subscribe(self, accepted: Accepted, sink: Sink) -> Subscription:
        """Begin a subscription. Raises: HubError, Invalid, GraphQLError."""
        assert self.source is not None, "a schema with subscriptions has a source of them"
        variables = self._coerced(accepted)
        return await self.source.subscribe(self._context(accepted, variables), accepted.operation, variables, sink)

    # ---------------------------------------------------------------- from a request to its context

    async def _parse(self, incoming: Incoming, documents: Documents) -> Document:
        text = incoming.request.query
        self.budgets.charge_cost(incoming.payer, PARSING_COST * min(len(text), self.limits.characters))
        # One new document per client at a time, so that a client sending many delays only itself.
        async with self._parsing.setdefault(incoming.payer.subject, asyncio.Lock()):
            document = documents.known(text)
            if document is None:
                document = await in_worker_thread(lambda: documents.read(text))
                documents.keep(text, document)
        return document

    def _coerced(self, accepted: Accepted) -> VariableValues:
        taken = accepted.operation.taken(accepted.given)
        if taken is not None:
            return taken
        definitions = accepted.operation.node.variable_definitions or ()
        variables = get_variable_values(self.core, definitions, accepted.given, MAXIMUM_ERRORS, self._hides(accepted))
        if isinstance(variables, list):
            raise Invalid(variables)
        return variables

    def _hides(self, accepted: Accepted) -> bool:
        return accepted.incoming.caller is None and not self.development

    def _context(self, accepted: Accepted, variables: VariableValues | None = None) -> Context:
        caller, raw = accepted.incoming.caller, accepted.incoming.request.variables
        return Context(self.database, self.admission.keys, caller, self.settings, variables or NO_VARIABLES, raw)

    async def _executed(self, accepted: Accepted) -> Answer:
        operation = accepted.operation

        def run() -> ExecutionResult | Awaitable[ExecutionResult]:
            return execute(
                self.core,
                operation.document,
                context_value=self._context(accepted),
                variable_values=accepted.given,
                operation_name=accepted.incoming.request.operation_name,
                max_coercion_errors=MAXIMUM_ERRORS,
                executor_class=CompiledExecutionContext,
                hide_suggestions=self._hides(accepted),
            )

        began = await in_worker_thread(run) if operation.introspects else run()
        result = await began if isawaitable(began) else began
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            raise Invalid(result.errors)
        for error in result.errors or ():
            if operation.is_query and isinstance(error.original_error, Overloaded):
                raise error.original_error
        return Answer(_body(result.data, result.errors or (), accepted.extensions), way="executed")


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
    return Answer(_body(data, errors, extensions), way="compiled")


async def _value(field: CompiledField, context: Context) -> Any:
    if field.field is None or field.requested is None or field.selected is None:
        return field.constant
    arguments = field.arguments(context.variables)
    request = await request_of(field.requested, arguments, context.caller)
    return None if request is None else await read_selected(context, field.selected, request)


def located(error: Exception, node: FieldNode, key: str) -> GraphQLError:
    """Return an error with its place in the document and in the answer."""
    if isinstance(error, GraphQLError) and error.original_error is None:
        return GraphQLError(error.message, error.nodes or [node], path=[key])
    return GraphQLError(str(error), [node], path=[key], original_error=error)


# ---------------------------------------------------------------- answers and refusals


def _body(data: Any, errors: Iterable[GraphQLError], extensions: Any) -> bytes:
    body: dict[str, Any] = {"data": data}
    formatted_errors = [formatted(error) for error in errors]
    if formatted_errors:
        body["errors"] = formatted_errors
    if extensions is not None:
        body["extensions"] = extensions
    return encode(body)


def _spent(cost: float, balance: Balance) -> Any:
    full_at = datetime.fromtimestamp(ceil(time() + balance.full_in_s), UTC)
    return {"cost": {"requested": ceil(cost), "remaining": int(balance.remaining), "resetAt": full_at}}


def shown_errors(error: Exception) -> list[dict[str, Any]]:
    """Return the GraphQL errors of an exception; an unforeseen one is logged."""
    if isinstance(error, Invalid):
        return [formatted(each, error.default_code) for each in error.errors]
    return [shown(error)]


def refused(error: Exception) -> Answer:
    """Return the answer over HTTP to a refused request."""
    headers = headers_of(error) if isinstance(error, HubError) else ()
    return Answer(encode({"errors": shown_errors(error)}), REFUSED, _status(error), tuple(headers))


def _status(error: BaseException | None) -> int | None:
    """Return the status of a refusal; None where the media type of the answer decides."""
    match error:
        case Invalid():
            cause = error.errors[0].original_error
            return _status(cause) if isinstance(cause, HubError) else None
        case TooComplex():
            return 400
        case HubError():
            return status_of(error)
        case GraphQLError():
            return None
        case _:
            return 500
