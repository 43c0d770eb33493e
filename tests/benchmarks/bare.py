"""Baseline: the hub's own SQL in a bare ASGI callable, with the questions fixed. No GraphQL, no framework, no keys.

Nothing that answers these questions with this SQL can be much faster, so the hub is measured by what it keeps of it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from graphql.execution.values import get_argument_values, get_variable_values

from app.db.engine import Database
from app.ids import normalise_evse_id, separated_evse_id
from app.read.frequencies import prepare_nearest
from app.read.paging import encode_cursor
from app.read.plan import Selection
from app.read.search import Request
from app.read.statement import Statement, compile_statement
from app.settings import Settings
from app.visibility.rules import CallerKind
from app.vocabulary import AuthMethod, words_of
from schema.areas import area_of
from schema.build import schema
from schema.documents import Documents
from tests.benchmarks.questions import CITY, NEAREST, ONE, RARE_PLUG, ROUTE

Row = Any
Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class List:
    """A list of EVSEs: its document, variables of the right kinds, and the variable that is the area, by its kind."""

    document: str
    area: str
    sample: Mapping[str, Any]
    order: tuple[str, ...]


NEAR = {"longitude": 0.0, "latitude": 0.0, "radiusM": 1.0}
BOX = {"minimumLongitude": 0.0, "minimumLatitude": 0.0, "maximumLongitude": 1.0, "maximumLatitude": 1.0}
LISTS = {
    "/nearest": List(NEAREST, "near", NEAR, ("distance_m", "evse_id")),
    "/city": List(CITY, "bounds", BOX, ("evse_id",)),
    "/route": List(ROUTE, "route", {"polyline": "????_ibE_ibE"}, ("along_route_m", "evse_id")),
    "/rare": List(RARE_PLUG, "near", NEAR, ("distance_m", "evse_id")),
}
SAMPLE_ONE = {"evseId": "DE*8AC*E1"}


def hub_request(text: str, sample: Mapping[str, Any]) -> tuple[Selection, Request]:
    """Return the selection and the request of a document's only root field."""
    core = schema._schema  # pyright: ignore[reportPrivateUsage]
    operation = Documents(core).get(text).operation(None)
    variables = get_variable_values(core, operation.node.variable_definitions or (), dict(sample))
    assert not isinstance(variables, list), variables
    compiled = operation.compiled(core, variables)
    assert compiled is not None
    (root,) = compiled
    assert root.field is not None
    assert root.requested is not None
    assert root.selected is not None
    request = root.requested(get_argument_values(root.field, root.node, variables), None)
    assert isinstance(request, Request)
    return root.selected.plain, request


class BareRoute:
    """POST /evse and the lists, anonymous, or as a role when one is given."""

    def __init__(self, dsn: str, role_id: int | None = None) -> None:
        self.dsn = dsn
        self.caller = {} if role_id is None else {"caller_role_id": role_id}
        self.caller_kind = CallerKind.ANONYMOUS if role_id is None else CallerKind.PARTNER
        self.answers: Mapping[str, Answer] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        content = orjson.dumps({"data": await self.answers[scope["path"]](orjson.loads(body))}, option=orjson.OPT_UTC_Z)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        database = await Database.open(self.dsn, Settings())
        selection, one = hub_request(ONE, SAMPLE_ONE)
        statement = compile_statement(selection, one.search, self.caller_kind)
        lists = {path: await self._prepare(database, list_) for path, list_ in LISTS.items()}
        self.answers = {
            "/evse": partial(self._one, database, statement, await _positions(database, statement)),
            **lists,
        }
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await database.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _prepare(self, database: Database, list_: List) -> Answer:
        """Prepare a list: filters, and how the few that pass are looked for, are the same for all questions."""
        selection, request = hub_request(list_.document, {list_.area: list_.sample, "first": 1})
        request = await prepare_nearest(database, request, self.caller_kind)
        statement = compile_statement(selection, request.search, self.caller_kind)
        at = await _positions(database, statement)
        return partial(self._list, database, statement, at, list_, request.arguments)

    async def _list(
        self,
        database: Database,
        statement: Statement,
        at: Mapping[str, int],
        list_: List,
        fixed: Mapping[str, Any],
        asked: Mapping[str, Any],
    ) -> Any:
        _, area = area_of({list_.area: asked[list_.area]})
        first = asked["first"]
        arguments = {**fixed, **area, "limit": first + 1, **self.caller}
        rows = await database.fetch(statement.sql, *statement.bind(arguments), planned=statement.planned)
        shown = rows[:first]
        last = [shown[-1][at[name]] for name in list_.order] if shown else None
        page = {
            "hasNextPage": len(rows) > first,
            "endCursor": None if last is None else encode_cursor("+".join(list_.order), *last),
        }
        return {"evses": {"nodes": [_listed(row, at) for row in shown], "pageInfo": page}}

    async def _one(
        self, database: Database, statement: Statement, at: Mapping[str, int], asked: Mapping[str, Any]
    ) -> Any:
        arguments = {"evse_id": normalise_evse_id(asked["evseId"]), **self.caller}
        rows = await database.fetch(statement.sql, *statement.bind(arguments))
        return {"evse": _detailed(rows[0], **at) if rows else None}


async def _positions(database: Database, statement: Statement) -> Mapping[str, int]:
    """Return each column's place in the statement's rows."""
    async with database.reads.acquire() as connection:
        prepared = await connection.prepare(statement.sql)
        return {attribute.name: place for place, attribute in enumerate(prepared.get_attributes())}


#: What only some lists show, by the column.
METRES = {"distance_m": "distanceM", "along_route_m": "alongRouteM"}


def _listed(row: Row, at: Mapping[str, int]) -> Any:
    metres = {shown: round(row[at[name]], 1) for name, shown in METRES.items() if name in at}
    return metres | _listed_everywhere(row, **{name: place for name, place in at.items() if name not in METRES})


def _listed_everywhere(
    row: Row, *, evse_id: int, latitude: int, longitude: int, charge_point_type: int,
    static_status: int, party_id: int, name: int, location_id: int, location_name: int, location_type: int,
    address: int, city: int, zip_code: int, country: int, connector_standards: int, connector_formats: int,
    maximum_power_kw: int, auth_methods: int, telephone_number: int, updated_at: int,
) -> Any:  # fmt: skip
    return {
        "evseId": separated_evse_id(row[evse_id]),
        "position": {"latitude": row[latitude], "longitude": row[longitude]},
        "chargePointType": row[charge_point_type],
        "staticStatus": row[static_status] or "UNKNOWN",
        "operator": {"partyId": row[party_id], "name": row[name]},
        "location": {
            "locationId": row[location_id],
            "name": row[location_name],
            "locationType": row[location_type],
            "address": {
                "address": row[address],
                "city": row[city],
                "zipCode": row[zip_code],
                "country": row[country],
            },
        },
        "connectors": [
            {"standard": standard, "format": format_}
            for standard, format_ in zip(row[connector_standards], row[connector_formats], strict=True)
        ],
        "ratings": None if row[maximum_power_kw] is None else {"maximumPowerKw": row[maximum_power_kw]},
        "authMethods": words_of(row[auth_methods], vocabulary=AuthMethod),
        "telephoneNumber": row[telephone_number],
        "updatedAt": row[updated_at],
    }


def _detailed(
    row: Row, *, evse_id: int, latitude: int, longitude: int, charge_point_type: int, static_status: int,
    party_id: int, name: int, location_id: int, location_name: int, location_type: int, time_zone: int,
    address: int, city: int, zip_code: int, country: int, connector_standards: int, connector_formats: int,
    maximum_power_kw: int, opening_times: int, auth_methods: int, telephone_number: int, updated_at: int,
) -> Any:  # fmt: skip
    return {
        "evseId": separated_evse_id(row[evse_id]),
        "position": {"latitude": row[latitude], "longitude": row[longitude]},
        "chargePointType": row[charge_point_type],
        "staticStatus": row[static_status] or "UNKNOWN",
        "operator": {"partyId": row[party_id], "name": row[name]},
        "location": {
            "locationId": row[location_id],
            "name": row[location_name],
            "locationType": row[location_type],
            "timeZone": row[time_zone],
            "address": {
                "address": row[address],
                "city": row[city],
                "zipCode": row[zip_code],
                "country": row[country],
            },
        },
        "connectors": [
            {"standard": standard, "format": format_}
            for standard, format_ in zip(row[connector_standards], row[connector_formats], strict=True)
        ],
        "ratings": None if row[maximum_power_kw] is None else {"maximumPowerKw": row[maximum_power_kw]},
        "openingTimes": _opening_times(row[opening_times]),
        "authMethods": words_of(row[auth_methods], vocabulary=AuthMethod),
        "telephoneNumber": row[telephone_number],
        "updatedAt": row[updated_at],
    }


def _opening_times(times: Mapping[str, Any] | None) -> Any:
    if times is None:
        return None
    return {
        "twentyfourseven": times.get("twentyfourseven"),
        "regularHours": [
            {"weekday": hours["weekday"], "begin": hours["begin"], "end": hours["end"]}
            for hours in times.get("regularHours") or ()
        ],
    }
