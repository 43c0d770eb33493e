"""The endpoint of GraphQL for every transport: documents, cost, and one of two ways to an answer.

Queries whose root fields are all compiled never meet the executor: variables, arguments, one statement each, bytes.
Everything else is executed.

What could block the event loop, parsing a new document and introspection, runs in the worker thread.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
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
from app.db.engine import Database
from app.db.lending import Overloaded, TookTooLong, Work, begin_work
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

    `given`: the variables that GraphQL coerces. `requested`: its cost; `charged`: that, or what the database took.
    `balance`: what is left of the budget; None: unlimited.
    """

    incoming: Incoming
    operation: Operation
    given: dict[str, Any]
    requested: float
    charged: float
    balance: Balance | None


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
        self.limits.hold("values", count_values(given, self.limits.values), "values in the variables")
        cost = operation.cost.of(request.variables)
        self.limits.hold("cost", cost, "the request's cost")
        balance = self.budgets.charge_cost(incoming.payer, cost)
        return Accepted(incoming, operation, given, cost, cost, balance)

    async def answer(self, accepted: Accepted) -> Answer:
        """Answer a query or a mutation. Raises: HubError, Invalid; Overloaded, TookTooLong where nothing was done."""
        operation, subject = accepted.operation, accepted.incoming.payer.subject
        if operation.is_mutation:
            begin_work(subject, self.settings.mutation_timeout_s)
            return await self._executed(accepted, None)
        work = begin_work(subject, self.settings.read_timeout_s, partial(self._settle, accepted))
        try:
            variables = self._coerced(accepted)
            compiled = operation.compiled(self.core, variables)
            if compiled is None:
                return await self._executed(accepted, work)
            return await self._compiled(accepted, compiled, self._context(accepted, variables), work)
        finally:
            self._settle(accepted, work)  # also of a request whose client has left

    async def subscribe(self, accepted: Accepted, sink: Sink) -> Subscription:
        """Begin a subscription. Raises: HubError, Invalid, GraphQLError."""
        assert self.source is not None, "a schema with subscriptions has a source of them"
        variables = self._coerced(accepted)
        settle = partial(self._settle, accepted)
        work = begin_work(accepted.incoming.payer.subject, self.settings.read_timeout_s, settle)
        try:
            return await self.source.subscribe(self._context(accepted, variables), accepted.operation, variables, sink)
        finally:
            self._settle(accepted, work)

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

    # ---------------------------------------------------------------- answers

    def _settle(self, accepted: Accepted, work: Work) -> None:
        charged, balance = self.budgets.settle(accepted.incoming.payer, accepted.charged, work.seconds)
        accepted.charged, accepted.balance = charged, balance or accepted.balance

    def _body(self, accepted: Accepted, work: Work | None, data: Any, errors: Iterable[GraphQLError]) -> bytes:
        body: dict[str, Any] = {"data": data}
        formatted_errors = [formatted(error) for error in errors]
        if formatted_errors:
            body["errors"] = formatted_errors
        if work is not None:
            self._settle(accepted, work)
        if accepted.balance is not None:
            body["extensions"] = _spent(accepted, accepted.balance)
        return encode(body)

    async def _compiled(
        self, accepted: Accepted, fields: tuple[CompiledField, ...], context: Context, work: Work
    ) -> Answer:
        data: dict[str, Any] | None = {}
        errors: list[GraphQLError] = []
        has_answered = False
        for field in fields:
            try:
                data[field.key] = await _value(field, context)
                has_answered = has_answered or field.field is not None
            except Exception as error:
                errors.append(located(error, field.node, field.key))
                if field.non_null:
                    data = None
                    break
                data[field.key] = None
        if not (data and has_answered):
            _raise_late(errors)
        return Answer(self._body(accepted, work, data, errors), way="compiled")

    async def _executed(self, accepted: Accepted, work: Work | None) -> Answer:
        try:
            result = await self._execute(accepted)
        finally:
            # graphql-core's execution is a cycle, which would keep what was uploaded until the next garbage collection.
            accepted.incoming.request.variables.clear()
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            raise Invalid(result.errors)
        if not _has_answered(accepted.operation, result):
            _raise_late(result.errors or ())
        return Answer(self._body(accepted, work, result.data, result.errors or ()), way="executed")

    async def _execute(self, accepted: Accepted) -> ExecutionResult:
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
        return await began if isawaitable(began) else began


def _has_answered(operation: Operation, result: ExecutionResult) -> bool:
    """Return whether a result has an answer to a field; of a mutation, whether something may have been done.

    What the schema says of itself is no answer, for it would be the same without a database.
    """
    fields = [node for node in operation.node.selection_set.selections if isinstance(node, FieldNode)]
    keys = [node.alias.value if node.alias else node.name.value for node in fields if node.name.value[:2] != "__"]
    failed = {error.path[0] for error in result.errors or () if error.path}
    if operation.is_mutation:  # they are executed one after the other
        return not keys or keys[0] not in failed
    return result.data is not None and not (keys and failed.issuperset(keys))


def _raise_late(errors: Iterable[GraphQLError]) -> None:
    """Raise the error of a database that did not answer in time, if there is one."""
    for error in errors:
        if isinstance(error.original_error, Overloaded | TookTooLong):
            raise error.original_error


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


# ---------------------------------------------------------------- refusals


def _spent(accepted: Accepted, balance: Balance) -> Any:
    full_at = datetime.fromtimestamp(ceil(time() + balance.full_in_s), UTC)
    requested, charged = ceil(accepted.requested), ceil(accepted.charged)
    return {
        "cost": {
            "requested": requested,
            "charged": charged,
            "remaining": int(balance.remaining),
            "resetAt": full_at,
        }
    }


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
