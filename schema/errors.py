"""How errors look outside: a message, where it happened, a stable code, and what to do.

Whatever the hub did not foresee is logged with an id and shown as that id only.
"""

import re
from typing import Any

from asyncpg import QueryCanceledError
from graphql import GraphQLError, GraphQLSyntaxError

from app import metrics
from app.db.lending import TookTooLong
from app.errors import HubError
from app.http.refusals import log_unforeseen

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_INPUT = "BAD_INPUT"
INTERNAL = "SERVER"

#: Messages quote what was sent, which may be long.
MAXIMUM_MESSAGE = 500

#: What graphql-core quotes of values that are personal data, or may be.
PERSONAL = re.compile(
    r"(type '(?:TokenInput|AuthorisationInput|CdrInput|ContractId)'.*?)[,;] found: .*"
    r"|(String cannot represent a non string value): .*",
    re.DOTALL,
)


def shown(error: Exception) -> dict[str, Any]:
    """Return an error as clients see it, a GraphQL error with its place in the document."""
    return formatted(error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error))


def formatted(error: GraphQLError, default_code: str = BAD_INPUT) -> dict[str, Any]:
    """Return an error as the response shows it. `default_code` is for what graphql-core itself refuses."""
    entry = _formatted(error, default_code)
    entry["message"] = PERSONAL.sub(lambda quoted: quoted[1] or quoted[2], entry["message"])
    if len(entry["message"]) > MAXIMUM_MESSAGE:
        entry["message"] = entry["message"][:MAXIMUM_MESSAGE] + " ..."
    metrics.ERRORS.labels(entry["extensions"]["code"]).inc()
    return entry


def _formatted(error: GraphQLError, default_code: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"message": error.message}
    if error.locations:
        entry["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        entry["path"] = error.path
    cause = _cause(error)
    if isinstance(cause, HubError):
        return (
            entry
            | {"message": error.message if cause.message in error.message else cause.message}
            | _extensions(cause.code, cause.hint, cause.retry_after_s)
        )
    if isinstance(cause, QueryCanceledError):
        late = TookTooLong("the database took longer than it may")
        return entry | {"message": late.message} | _extensions(late.code, late.hint, late.retry_after_s)
    if cause is not None:
        return entry | _unforeseen(cause)
    return entry | _extensions(PARSE_FAILED if isinstance(error, GraphQLSyntaxError) else default_code)


def _extensions(code: str, hint: str | None = None, retry_after_s: int | None = None) -> dict[str, Any]:
    known = {"code": code, "hint": hint, "retryAfterS": retry_after_s}
    return {"extensions": {name: value for name, value in known.items() if value is not None}}


def _unforeseen(cause: BaseException) -> dict[str, Any]:
    id_, message = log_unforeseen(cause)
    return {"message": message, "extensions": {"code": INTERNAL, "errorId": id_}}


def _cause(error: GraphQLError) -> BaseException | None:
    """Return the error that graphql-core wrapped; None when it is graphql-core's own."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause
