"""GraphQL over HTTP, as one thin ASGI callable.

Queries whose root fields are all compiled never meet the executor: variables, arguments, one statement each, bytes. All
else goes Strawberry's own way. FastAPI's router would cost more than the whole answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import orjson
from graphql import FieldNode, GraphQLError
from graphql.execution.values import get_argument_values, get_variable_values
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from strawberry import Schema

from app import metrics
from app.auth import Caller, Keys
from app.db.engine import Database
from app.errors import HubError, Unauthenticated
from schema.compiled import Context, encode, read_selected
from schema.documents import CompiledField, Documents, Operation
from schema.errors import VALIDATION_FAILED, formatted
from schema.uploads import without_uploads

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
REFUSED = "refused"


class BadRequest(HubError):
    """The request is not GraphQL over HTTP."""

    code = "BAD_REQUEST"

    def __init__(self, message: str, hint: str | None = None, status: int = 400) -> None:
        super().__init__(message, hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: the body, and the way it came about: compiled, executed, or refused before either."""

    body: bytes
    way: str = "compiled"
    status: int | None = None


class GraphQLRoute:
    """POST /graphql."""

    def __init__(self, schema: Schema, database: Database, keys: Keys, max_body_bytes: int) -> None:
        self.schema = schema
        self.core = schema._schema  # pyright: ignore[reportPrivateUsage]
        self.database = database
        self.keys = keys
        self.max_body_bytes = max_body_bytes
        self.documents = Documents(self.core)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        began = perf_counter()
        try:
            asked = _asked(await self._body(scope, headers, receive))
            answer = await self._answer(asked, await self.keys.verify(headers.get("authorization")))
        except BadRequest as error:
            answer = _refused(error, error.status)
        except Unauthenticated as error:
            answer = _refused(error, 401)
        except Exception as error:
            shown = formatted(GraphQLError("unforeseen", original_error=error))
            answer = Answer(encode({"errors": [shown]}), way=REFUSED, status=500)
        metrics.REQUESTS.labels(answer.way).inc()
        metrics.SECONDS.labels(answer.way).observe(perf_counter() - began)
        await _send(send, answer, headers.get("accept", ""))

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        """Read the body. Raises: BadRequest when it is too large, not JSON by its own word, or sent the wrong way."""
        if scope["method"] != "POST":
            raise BadRequest(f"{scope['method']} is not possible here; possible: POST", status=405)
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != JSON:
            raise BadRequest(f"Content-Type is {content_type or 'missing'}; possible: {JSON}", status=415)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("the body broke off")
            part = message.get("body", b"")
            size += len(part)
            if size > self.max_body_bytes:
                raise BadRequest(f"the body is larger than {self.max_body_bytes} bytes", "send it in parts", status=413)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    async def _answer(self, asked: Asked, caller: Caller | None) -> Answer:
        document = self.documents.get(asked.query)
        if document.errors:
            return _errors(document.errors, VALIDATION_FAILED)
        try:
            operation = document.operation(asked.operation_name)
        except HubError as error:
            return _errors([GraphQLError(error.message, original_error=error)])
        if operation.is_query:
            variables = get_variable_values(self.core, operation.node.variable_definitions or (), asked.variables)
            if isinstance(variables, list):
                return _errors(variables)
            compiled = operation.compiled(self.core, variables)
            if compiled is not None:
                return await _compiled(compiled, Context(self.database, self.keys, caller, variables))
        return await self._executed(asked, operation, caller)

    async def _executed(self, asked: Asked, operation: Operation, caller: Caller | None) -> Answer:
        context = Context(self.database, self.keys, caller, raw_variables=asked.variables)
        result = await self.schema.execute(
            asked.query,
            variable_values=without_uploads(operation.node, asked.variables),
            context_value=context,
            operation_name=asked.operation_name,
        )
        if result.data is None and result.errors and not any(error.path for error in result.errors):
            return _errors(result.errors)
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [formatted(error) for error in result.errors]
        return Answer(encode(body), way="executed")


async def _compiled(fields: tuple[CompiledField, ...], context: Context) -> Answer:
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
    body: dict[str, Any] = {"data": data}
    if errors:
        body["errors"] = [formatted(error) for error in errors]
    return Answer(encode(body))


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


def _asked(body: bytes) -> Asked:
    """Read a request. Raises: BadRequest."""
    try:
        asked: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON in UTF-8: {error}") from None
    if not isinstance(asked, dict):
        raise BadRequest("the body is not a JSON object", 'send {"query": "...", "variables": {...}}')
    members = cast(Mapping[str, Any], asked)
    return Asked(
        _member(members, "query", str, required=True),
        _member(members, "variables", dict) or {},
        _member(members, "operationName", str),
    )


def _member(asked: Mapping[str, Any], name: str, type_: type, required: bool = False) -> Any:
    value = asked.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, type_):
        kind = {str: "text", dict: "a JSON object"}[type_]
        raise BadRequest(f"`{name}` is {'missing' if value is None else 'not ' + kind}; expected {kind}")
    return value


def _refused(error: HubError, status: int) -> Answer:
    shown = formatted(GraphQLError(error.message, original_error=error))
    return Answer(encode({"errors": [shown]}), way=REFUSED, status=status)


def _errors(errors: Any, default_code: str = "BAD_INPUT") -> Answer:
    return Answer(encode({"errors": [formatted(error, default_code) for error in errors]}), way=REFUSED)


async def _send(send: Send, answer: Answer, accept: str) -> None:
    """Answer as GraphQL over HTTP says: a client that knows its media type gets 4xx for what was never executed."""
    modern = GRAPHQL_RESPONSE in accept
    status = answer.status or (400 if answer.way == REFUSED and modern else 200)
    headers = [
        (b"content-type", f"{GRAPHQL_RESPONSE if modern else JSON}; charset=utf-8".encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
