"""The API once more, slowly: whole tables in memory, plain dictionaries, graphql-core's own resolvers.

What the compiler makes of a selection must equal what graphql-core makes of this.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Any
from uuid import UUID

import asyncpg
from graphql import GraphQLSchema, build_schema, graphql_sync

from app.vocabulary import AuthMethod, Restriction
from schema.build import SDL
from tests.world import CALLERS, VISIBLE_OPERATORS, World

Row = Mapping[str, Any]
Object = dict[str, Any]

EARTH_RADIUS_M = 6_371_008.7714


def great_circle_m(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
    """Return the metres between two points on a sphere, by the haversine formula."""
    south, north = radians(latitude), radians(other_latitude)
    width = radians(other_longitude - longitude)
    square = sin((north - south) / 2) ** 2 + cos(south) * cos(north) * sin(width / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1, sqrt(square)))


TABLES = ("operator", "location", "evse", "partner", "partner_role", "api_key", "contract", "audit_log", "refusal")


class SlowHub:
    """A world's tables, read whole, and the schema as printed: with no resolvers but graphql-core's own."""

    def __init__(self, world: World, tables: Mapping[str, Sequence[Row]], schema: GraphQLSchema) -> None:
        self.world = world
        self.tables = tables
        self.schema = schema

    def __repr__(self) -> str:
        return "the slow hub"

    def ask(self, query: str, variables: Mapping[str, Any], caller: str | None) -> dict[str, Any]:
        """Answer what must be answered; give `data`."""
        root = Reader(self.world, self.tables, caller).root()
        result = graphql_sync(self.schema, query, root, variable_values=dict(variables))
        assert not result.errors, result.errors
        assert result.data is not None
        return result.data


async def read_slowly(world: World) -> SlowHub:
    """Read every table as its owner, whom nothing is hidden from."""
    connection = await asyncpg.connect(world.dsn)
    try:
        await connection.set_type_codec("json", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        tables = {name: [dict(row) for row in await connection.fetch(f"select * from {name}")] for name in TABLES}
    finally:
        await connection.close()
    return SlowHub(world, tables, build_schema(SDL.read_text(encoding="utf-8")))


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def instant(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def words(mask: int, vocabulary: type[StrEnum]) -> list[str]:
    return [word.value for bit, word in enumerate(vocabulary) if mask & (1 << bit)]


def separated(id_: str | None) -> str | None:
    return None if id_ is None else f"{id_[:2]}*{id_[2:5]}*{id_[5:]}"


def taken(row: Row, *names: str) -> Object:
    """Return columns under their names in the API."""
    return {camel(name): instant(row[name]) if isinstance(row[name], datetime) else row[name] for name in names}


@dataclass(frozen=True)
class Reader:
    """The answers for one caller."""

    world: World
    tables: Mapping[str, Sequence[Row]]
    caller: str | None

    def root(self) -> Object:
        return {
            "me": lambda _: self.me(),
            "evse": lambda _, **arguments: self.evse_by_id(arguments["evseId"]),
            "evses": lambda _, **arguments: self.evses(arguments),
            "partner": lambda _, **arguments: self.partner_by_id(arguments["id"]),
            "partners": lambda _, **arguments: page(self.partners(), arguments),
            "contracts": lambda _, **arguments: page(self.contracts(arguments.get("status")), arguments),
            "auditLog": lambda _, **arguments: page(self.audit_log(arguments), arguments),
            "refusals": lambda _, **arguments: page(self.refusals(), arguments),
        }

    # ---- EVSEs

    def evse_by_id(self, evse_id: str) -> Object | None:
        return next((self.evse(row) for row in self.visible_evses() if row["evse_id"] in spellings(evse_id)), None)

    def visible_evses(self) -> list[Row]:
        return [row for row in self.tables["evse"] if self.operator(row)["partyId"] in VISIBLE_OPERATORS[self.caller]]

    def evses(self, arguments: Mapping[str, Any]) -> Object:
        given, within = arguments.get("filter") or {}, arguments.get("within") or {}
        found = [row for row in self.visible_evses() if matches(row, self.operator(row)["partyId"], given)]
        if "bounds" in within:
            found = [row for row in found if is_inside(row, within["bounds"])]
        if "near" in within:
            return page(self.nearest(found, within["near"]), arguments)
        return page([self.evse(row) for row in sorted(found, key=lambda row: row["evse_id"])], arguments)

    def nearest(self, found: Sequence[Row], near: Mapping[str, float]) -> list[Object]:
        centre = near["longitude"], near["latitude"]
        metres = {row["evse_id"]: great_circle_m(*centre, row["longitude"], row["latitude"]) for row in found}
        inside = [row for row in found if metres[row["evse_id"]] <= near.get("radiusM", 10_000)]
        inside.sort(key=lambda row: (metres[row["evse_id"]], row["evse_id"]))
        return [self.evse(row, round(metres[row["evse_id"]], 1)) for row in inside]

    def evse(self, row: Row, distance_m: float | None = None) -> Object:
        return {
            **taken(row, "evse_id_as_sent", "location_name", "location_name_language", "location_type", "time_zone"),
            **taken(
                row, "charge_point_type", "user_interface_languages", "telephone_number", "timestamp", "updated_at"
            ),
            **taken(row, "max_reservation_minutes", "related_locations", "images", "related_resources"),
            **taken(row, "status_schedule", "opening_times"),
            "evseId": separated(row["evse_id"]),
            "distanceM": distance_m,
            "operator": self.operator(row),
            "location": self.location(row),
            "position": taken(row, "latitude", "longitude"),
            "connectors": [
                {"standard": standard, "format": format_, "tariffId": separated(tariff_id)}
                for standard, format_, tariff_id in zip(
                    row["connector_standards"], row["connector_formats"], row["connector_tariff_ids"], strict=True
                )
            ],
            "ratings": None
            if row["maximum_power_kw"] is None
            else taken(row, "maximum_power_kw", "guaranteed_power_kw", "nominal_voltage_v"),
            "staticStatus": row["static_status"] or "UNKNOWN",
            "parkingSpots": [
                {
                    "spot": {"parkingId": separated(parking_id)},
                    "restrictions": words(restrictions, Restriction),
                    "floorLevel": floor_level,
                    "number": number,
                }
                for parking_id, restrictions, floor_level, number in zip(
                    row["parking_ids"],
                    row["parking_restrictions"],
                    row["parking_floor_levels"],
                    row["parking_numbers"],
                    strict=True,
                )
            ],
            "authMethods": words(row["auth_methods"], AuthMethod),
            "restrictions": words(row["restrictions"], Restriction),
        }

    def operator(self, row: Row) -> Object:
        [operator] = [each for each in self.tables["operator"] if each["no"] == row["operator_no"]]
        return taken(operator, "party_id", "name", "open", "source", "licence")

    def location(self, evse: Row) -> Object:
        key = "operator_no", "location_id"
        [row] = [each for each in self.tables["location"] if all(each[name] == evse[name] for name in key)]
        return {
            **taken(row, "location_id", "time_zone", "location_type", "related_locations"),
            "operator": self.operator(row),
            "name": row["location_name"],
            "nameLanguage": row["location_name_language"],
            "address": taken(row, "house_number", "address", "city", "zip_code", "country"),
            "position": taken(row, "latitude", "longitude"),
        }

    # ---- partners

    @property
    def partner_id(self) -> UUID | None:
        return None if self.caller is None else self.world.partner_ids[CALLERS[self.caller][0]]

    def concerns(self, *partner_ids: UUID) -> bool:
        return self.caller == "leitstelle" or self.partner_id in partner_ids

    def rows(self, table: str, **values: Any) -> list[Row]:
        return [row for row in self.tables[table] if all(row[name] == value for name, value in values.items())]

    def me(self) -> Object | None:
        if self.caller is None:
            return None
        _, role, party_id = CALLERS[self.caller]
        [held] = self.rows("partner_role", partner_id=self.partner_id, role=role.value, party_id=party_id)
        [partner] = self.rows("partner", id=self.partner_id)
        in_force = [
            self.contract(row)
            for row in self.rows("contract", status="ACTIVE")
            if held["id"] in (row["first_role_id"], row["second_role_id"])
        ]
        return {"role": held["role"], "partyId": party_id, "partner": self.partner(partner), "contracts": in_force}

    def partner_by_id(self, id_: str) -> Object | None:
        return next((partner for partner in self.partners() if partner["id"] == id_), None)

    def partners(self) -> list[Object]:
        seen = [row for row in self.tables["partner"] if self.concerns(row["id"])]
        return [self.partner(row) for row in sorted(seen, key=lambda row: (row["name"], row["id"]))]

    def partner(self, row: Row) -> Object:
        keys = sorted(self.rows("api_key", partner_id=row["id"]), key=lambda key: (key["created_at"], key["id"]))
        return {
            **taken(row, "name", "last_upload_at"),
            "id": str(row["id"]),
            "suspended": row["suspended_at"] is not None,
            "roles": [taken(role, "role", "party_id") for role in self.rows("partner_role", partner_id=row["id"])],
            "apiKeys": [self.api_key(key) for key in keys],
        }

    def api_key(self, row: Row) -> Object:
        [role] = self.rows("partner_role", id=row["role_id"])
        shown = taken(row, "prefix", "created_at", "expires_at", "revoked_at")
        return {**shown, "id": str(row["id"]), "role": taken(role, "role", "party_id")}

    def party(self, role_id: int) -> Object:
        [role] = self.rows("partner_role", id=role_id)
        [partner] = self.rows("partner", id=role["partner_id"])
        return {**taken(role, "role", "party_id"), "partnerId": str(partner["id"]), "name": partner["name"]}

    def contracts(self, status: list[str] | None) -> list[Object]:
        seen = [
            row
            for row in self.tables["contract"]
            if self.concerns(row["first_partner_id"], row["second_partner_id"])
            and (status is None or row["status"] in status)
        ]
        return [self.contract(row) for row in sorted(seen, key=lambda row: (row["created_at"], row["id"]))]

    def contract(self, row: Row) -> Object:
        return {
            **taken(row, "status", "valid_from", "valid_until", "updated_at"),
            "id": str(row["id"]),
            "parties": [self.party(row["first_role_id"]), self.party(row["second_role_id"])],
            "proposedBy": self.party(row["proposed_by_role_id"]),
        }

    def audit_log(self, arguments: Mapping[str, Any]) -> list[Object]:
        partner_id, since = arguments.get("partnerId"), arguments.get("since")
        return [
            {
                **taken(row, "at", "action", "subject", "subject_id", "details"),
                "id": str(row["id"]),
                "by": None if row["actor_role_id"] is None else self.party(row["actor_role_id"]),
            }
            for row in sorted(self.tables["audit_log"], key=lambda row: row["id"])
            if self.concerns(*row["partner_ids"])
            and (partner_id is None or UUID(partner_id) in row["partner_ids"])
            and (since is None or row["at"] >= datetime.fromisoformat(since.upper()))
        ]

    def refusals(self) -> list[Object]:
        seen = [row for row in self.tables["refusal"] if self.concerns(row["partner_id"])]
        return [
            {**taken(row, "at", "operation", "path", "index", "item_id", "code", "message"), "id": str(row["id"])}
            for row in sorted(seen, key=lambda row: -row["id"])
        ]


def page(nodes: Sequence[Object], arguments: Mapping[str, Any]) -> Object:
    """Return the first page of a connection. Its cursors are not the hub's; only their absence is the same."""
    assert arguments.get("after") is None, "a cursor of the hub means nothing here"
    shown = nodes[: arguments["first"]]
    cursors = [f"slow {number}" for number in range(len(shown))]
    return {
        "edges": [
            {"cursor": cursor, "node": node, "distanceM": node.get("distanceM")}
            for cursor, node in zip(cursors, shown, strict=True)
        ],
        "nodes": shown,
        "pageInfo": {
            "hasNextPage": len(nodes) > len(shown),
            "hasPreviousPage": False,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }


def spellings(evse_id: str) -> set[str]:
    """Return the stored forms that an id as sent may stand for."""
    text = evse_id.upper()
    din = text.replace("+49*", "DE", 1).replace("*", "E", 1) if text.startswith("+49*") else text
    return {text, text.replace("*", "", 2), din}


def is_inside(row: Row, bounds: Mapping[str, float]) -> bool:
    """Half-open, but for the earth's own edges; west of the antimeridian to east of it."""
    south, north = bounds["minimumLatitude"], bounds["maximumLatitude"]
    west, east = bounds["minimumLongitude"], bounds["maximumLongitude"]
    latitude, longitude = row["latitude"], row["longitude"]
    if not (south <= latitude < north or latitude == north == 90):
        return False
    if west > east:
        return longitude >= west or longitude < east
    return west <= longitude < east or longitude == east == 180


def matches(row: Row, party_id: str, given: Mapping[str, Any]) -> bool:
    return all(TESTS[name](row, party_id, value) for name, value in given.items() if value is not None) and (
        has_connector(row, given.get("connectorStandards"), given.get("connectorFormats"))
    )


def has_connector(row: Row, standards: list[str] | None, formats: list[str] | None) -> bool:
    return any(
        (standards is None or standard in standards) and (formats is None or format_ in formats)
        for standard, format_ in zip(row["connector_standards"], row["connector_formats"], strict=True)
    )


def letters(text: str) -> str:
    return text.upper().replace("*", "").replace("-", "")


TESTS: Mapping[str, Callable[[Row, str, Any], bool]] = {
    "evseIds": lambda row, _, ids: any(row["evse_id"] in spellings(each) for each in ids),
    "locationIds": lambda row, _, ids: row["location_id"] in {each.upper() for each in ids},
    "operatorIds": lambda _, party_id, ids: party_id in {letters(each) for each in ids},
    "connectorStandards": lambda *_: True,
    "connectorFormats": lambda *_: True,
    "chargePointTypes": lambda row, _, types: row["charge_point_type"] in types,
    "minPowerKw": lambda row, _, kw: row["maximum_power_kw"] is not None and row["maximum_power_kw"] >= kw,
    "maxPowerKw": lambda row, _, kw: row["maximum_power_kw"] is not None and row["maximum_power_kw"] <= kw,
    "authMethods": lambda row, _, methods: bool({*words(row["auth_methods"], AuthMethod)} & {*methods}),
    "locationTypes": lambda row, _, types: row["location_type"] in types,
    "withoutRestrictions": lambda row, _, some: not {*words(row["restrictions"], Restriction)} & {*some},
}
