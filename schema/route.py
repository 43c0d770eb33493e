"""/graphql, as one thin ASGI callable: the door, and behind it one of two ways.

Queries whose root fields are all compiled never meet the executor: variables, arguments, one statement each, bytes. All
else is executed. FastAPI's router would cost more than the whole answer.

What may keep the event loop waiting, reading a new document and describing the schema, is left to one thread: more of
them would only wait for each other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import isawaitable
from math import ceil
from time import perf_counter
from typing import Any, TypeVar

from graphql import ExecutionResult, FieldNode, GraphQLError
from graphql.execution import execute  # pyright: ignore[reportUnknownVariableType]
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from starlette.types import Receive, Scope, Send
from strawberry import Schema

from app import metrics
from app.auth import Caller, Keys
from app.budget import Budgets, Payer, RateLimited, Standing
from app.db.engine import Database
from app.errors import HubError, Unauthenticated
from app.settings import Settings
from schema.compiled import CompiledExecutionContext, Context, encode, read_selected
from schema.documents import MAXIMUM_ERRORS, CompiledField, Document, Documents, Operation
from schema.errors import BAD_INPUT, VALIDATION_FAILED, formatted
from schema.guard import Limits, TooComplex, count_values
from schema.http import (
    JSON,
    Answer,
    Asked,
    BadRequest,
    Headers,
    check_head,
    negotiated,
    read_body,
    read_posted,
    read_query_string,
    send_answer,
    takes_gzip,
    text_of,
)
from schema.uploads import without_uploads

T = TypeVar("T")

REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Asking:
    """One request on its way in: who asks, who pays, and what."""

    caller: Caller | None
    payer: Payer
    asked: Asked
    by_get: bool


class GraphQLRoute:
    """POST /graphql, and for developers GET."""

    def __init__(
        self, schema: Schema, database: Database, keys: Keys, budgets: Budgets, settings: Settings, development: bool
    ) -> None:
        self.core = schema._schema  # pyright: ignore[reportPrivateUsage]
        self.database = database
        self.keys = keys
        self.budgets = budgets
        self.settings = settings
        self.development = development
        self.limits = Limits.of(settings)
        self.documents = Documents(self.core, self.limits)
        self.strangers_documents = self.documents if development else Documents(self.core, self.limits, True)
        self.thread = ThreadPoolExecutor(1, "documents")

    def close(self) -> None:
        """Let the thread go."""
        self.thread.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        began = perf_counter()
        media = JSON
        try:
            media = negotiated(headers)
            answer = await self._answer(await self._asking(scope, headers, receive))
        except HubError as error:
            answer = _refused(error)
        except Exception as error:
            shown = formatted(GraphQLError("unforeseen", original_error=error))
            answer = Answer(encode({"errors": [shown]}), way=REFUSED, status=500)
        metrics.REQUESTS.labels(answer.way).inc()
        metrics.SECONDS.labels(answer.way).observe(perf_counter() - began)
        smallest = self.settings.gzip_from_bytes
        await send_answer(send, answer, media, 0 < smallest <= len(answer.body) and takes_gzip(headers))

    async def _asking(self, scope: Scope, headers: Headers, receive: Receive) -> Asking:
        """Let a request in. Raises: BadRequest, Unauthenticated, RateLimited."""
        check_head(scope, headers, may_get=self.development)
        client = scope.get("client")
        address = client[0] if client else ""
        caller = await self._caller(headers, address)
        payer = self.budgets.payer(caller.key_id if caller else None, address)
        await self.budgets.admit(payer)
        if scope["method"] == "GET":
            return Asking(caller, payer, read_query_string(scope), by_get=True)
        settings = self.settings
        maximum_bytes = settings.max_body_bytes if caller else settings.max_anonymous_body_bytes
        body = await read_body(headers, receive, maximum_bytes, settings.body_timeout_s)
        return Asking(caller, payer, read_posted(body), by_get=False)

    async def _caller(self, headers: Headers, address: str) -> Caller | None:
        if b"authorization" not in headers:
            return None
        try:
            return await self.keys.verify(text_of(headers, b"authorization"))
        except Unauthenticated:
            # Whoever guesses keys pays for it as a stranger.
            await self.budgets.admit(self.budgets.payer(None, address))
            raise

    async def _answer(self, asking: Asking) -> Answer:
        document = await self._document(asking)
        if document.errors:
            return _errors(document.errors, VALIDATION_FAILED)
        operation = document.operation(asking.asked.operation_name)
        if asking.by_get and not operation.is_query:
            raise BadRequest("GET is possible for queries only; possible: POST", status=405, allow="POST")
        cost = operation.cost.of(asking.asked.variables)
        self.limits.hold("cost", cost, "the request's cost")
        standing = await self.budgets.spend(asking.payer, cost)
        shown = None if standing is None else _shown(cost, standing)
        return await self._answered(asking, operation, shown)

    async def _document(self, asking: Asking) -> Document:
        documents = self.documents if asking.caller else self.strangers_documents
        text = asking.asked.query
        document = documents.known(text)
        if document is None:
            document = await self._in_thread(lambda: documents.read(text))
            documents.keep(text, document)
        return document

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

    async def _answered(self, asking: Asking, operation: Operation, extensions: Any) -> Answer:
        given = without_uploads(operation.node, asking.asked.variables)
        definitions = operation.node.variable_definitions or ()
        if definitions:
            declared = [given.get(each.variable.name.value) for each in definitions]
            self.limits.hold("values", count_values(declared, self.limits.values), "values in the variables")
        if operation.is_query:
            hides = asking.caller is None and not self.development
            variables = get_variable_values(self.core, definitions, given, MAXIMUM_ERRORS, hides)
            if isinstance(variables, list):
                return _errors(variables)
            compiled = operation.compiled(self.core, variables)
            if compiled is not None:
                return await _compiled(compiled, self._context(asking, variables), extensions)
        return await self._executed(asking, operation, given, extensions)

    def _context(self, asking: Asking, variables: VariableValues | None = None) -> Context:
        context = Context(self.database, self.keys, asking.caller, raw_variables=asking.asked.variables)
        if variables is not None:
            context.variables = variables
        return context

    async def _executed(self, asking: Asking, operation: Operation, given: dict[str, Any], extensions: Any) -> Answer:
        def run() -> ExecutionResult | Awaitable[ExecutionResult]:
            return execute(
                self.core,
                operation.document,
                context_value=self._context(asking),
                variable_values=given,
                operation_name=asking.asked.operation_name,
                max_coercion_errors=MAXIMUM_ERRORS,
                executor_class=CompiledExecutionContext,
                hide_suggestions=asking.caller is None and not self.development,
            )

        began = await self._in_thread(run) if operation.only_introspects else run()
        result = await began if isawaitable(began) else began
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            return _errors(result.errors)
        return Answer(_body(result.data, result.errors or (), extensions), way="executed")


async def _compiled(fields: tuple[CompiledField, ...], context: Context, extensions: Any) -> Answer:
    data: dict[str, Any] | None = {}
    errors: list[GraphQLError] = []
    for field in fields:
        try:
            value = await _value(field, context)
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
    arguments = get_argument_values(field.field, field.node, context.variables)
    request = field.requested(arguments, context.caller)
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


def _refused(error: HubError) -> Answer:
    shown = formatted(GraphQLError(error.message, original_error=error))
    return Answer(encode({"errors": [shown]}), REFUSED, _status(error), tuple(_headers(error)))


def _errors(errors: Sequence[GraphQLError], default_code: str = BAD_INPUT) -> Answer:
    shown = [formatted(error, default_code) for error in errors]
    return Answer(encode({"errors": shown}), REFUSED, _status(errors[0].original_error))


def _status(cause: BaseException | None) -> int | None:
    """Give the status of a refusal that no media type has a say in."""
    match cause:
        case BadRequest():
            return cause.status
        case Unauthenticated():
            return 401
        case RateLimited():
            return 429
        case TooComplex():
            return 400
        case _:
            return None


def _headers(error: HubError) -> Iterator[tuple[bytes, bytes]]:
    match error:
        case Unauthenticated():
            yield b"www-authenticate", b"Bearer"
        case RateLimited():
            yield b"retry-after", str(error.retry_after_s).encode()
        case BadRequest(status=405):
            yield b"allow", error.allow.encode()
        case BadRequest(status=408):
            yield b"connection", b"close"
        case _:
            pass
