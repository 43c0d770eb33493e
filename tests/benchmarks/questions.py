"""What is asked of every variant: a few documents, with other variables each time, all from one seed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import cos, degrees, pi, radians, sin
from typing import Any

import orjson

from geo.areas import EARTH_RADIUS_M
from geo.polyline import encode_polyline

FIRST = 50
RADIUS_M = 25_000.0
#: Centres lie so many degrees (standard deviation) beside an EVSE.
BESIDE_DEGREES = 0.01

#: Half the sides of a city's box, in degrees: some 11 by 11 km in the middle of France.
CITY_DEGREES = (0.075, 0.05)
ROUTE_M, STEP_M, CORRIDOR_M = 200_000.0, 400.0, 2_000.0
#: Standard deviation of a road's turn at each step, in radians.
TURN = 0.08
ROUTES = 200
#: A plug that hardly anybody has; `tests.benchmarks.world` gives it to a few.
RARE = "IEC_62196_T3C"
RARE_RADIUS_M = 100_000.0

NODE = """
      evseId
      position { latitude longitude }
      chargePointType
      staticStatus
      operator { partyId name }
      location { locationId name locationType address { address city zipCode country } }
      connectors { standard format }
      ratings { maximumPowerKw }
      authMethods
      telephoneNumber
      updatedAt
"""


def _list_of(variables: str, arguments: str, more: str) -> str:
    return f"""
query List({variables}, $first: Int!) {{
  evses({arguments}, first: $first) {{
    nodes {{ {more} {NODE} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""


NEAREST = _list_of("$near: NearInput!", "within: {near: $near}", "distanceM")
CITY = _list_of("$bounds: BoundsInput!", "within: {bounds: $bounds}", "")
ROUTE = _list_of("$route: RouteInput!", "within: {route: $route}", "distanceM alongRouteM")
RARE_PLUG = _list_of(
    "$near: NearInput!", f"within: {{near: $near}}, filter: {{connectorStandards: [{RARE}]}}", "distanceM"
)
LIVE = _list_of("$near: NearInput!", "within: {near: $near}", "distanceM status { major minor }")
FREE = _list_of("$near: NearInput!", "within: {near: $near}, filter: {availableNow: true}", "distanceM")

ONE = """
query One($evseId: EvseId!) {
  evse(evseId: $evseId) {
    evseId
    position { latitude longitude }
    chargePointType
    staticStatus
    operator { partyId name }
    location { locationId name locationType timeZone address { address city zipCode country } }
    connectors { standard format }
    ratings { maximumPowerKw }
    openingTimes { twentyfourseven regularHours { weekday begin end } }
    authMethods
    telephoneNumber
    updatedAt
  }
}
"""


@dataclass(frozen=True, slots=True)
class Spot:
    """An EVSE that everybody may see."""

    evse_id: str
    longitude: float
    latitude: float


@dataclass(frozen=True, slots=True)
class Question:
    """A document and the variables it is asked with. `path`: where the bare route answers the same, if it does."""

    name: str
    document: str
    path: str | None
    variables: Sequence[Mapping[str, Any]]


def questions(spots: Sequence[Spot], seed: int) -> Sequence[Question]:
    """Return the questions (a) to (g) around each of the spots; (f) and (g) at the places of (a)."""
    chance = random.Random(seed)
    near = [_near(chance, spot, RADIUS_M) for spot in spots]
    return (
        Question("a: 50 nearest", NEAREST, "/nearest", near),
        Question("b: one by id", ONE, "/evse", [{"evseId": spot.evse_id} for spot in spots]),
        Question("c: a city's box", CITY, "/city", [_city(chance, spot) for spot in spots]),
        Question("d: a 200 km route", ROUTE, "/route", [_route(chance, spot) for spot in spots[:ROUTES]]),
        Question("e: a rare plug", RARE_PLUG, "/rare", [_near(chance, spot, RARE_RADIUS_M) for spot in spots]),
        Question("f: with live status", LIVE, None, near),
        Question("g: available now", FREE, None, near),
    )


def _near(chance: random.Random, spot: Spot, radius_m: float) -> Mapping[str, Any]:
    longitude, latitude = _beside(chance, spot)
    return {"near": {"longitude": longitude, "latitude": latitude, "radiusM": radius_m}, "first": FIRST}


def _beside(chance: random.Random, spot: Spot) -> tuple[float, float]:
    beside = (place + chance.gauss(0, BESIDE_DEGREES) for place in (spot.longitude, spot.latitude))
    longitude, latitude = (round(place, 6) for place in beside)
    return longitude, latitude


def _city(chance: random.Random, spot: Spot) -> Mapping[str, Any]:
    (longitude, latitude), (wide, high) = _beside(chance, spot), CITY_DEGREES
    bounds = {
        "minimumLongitude": longitude - wide,
        "maximumLongitude": longitude + wide,
        "minimumLatitude": latitude - high,
        "maximumLatitude": latitude + high,
    }
    return {"bounds": bounds, "first": FIRST}


def _route(chance: random.Random, spot: Spot) -> Mapping[str, Any]:
    """Drive from a spot along slight bends, as roads do."""
    longitude, latitude = spot.longitude, spot.latitude
    points, towards = [(longitude, latitude)], chance.uniform(0, 2 * pi)
    for _ in range(round(ROUTE_M / STEP_M)):
        towards += chance.gauss(0, TURN)
        latitude += degrees(STEP_M / EARTH_RADIUS_M) * cos(towards)
        longitude += degrees(STEP_M / EARTH_RADIUS_M) * sin(towards) / cos(radians(latitude))
        points.append((longitude, latitude))
    route = {"polyline": encode_polyline(points), "precision": 5, "corridorM": CORRIDOR_M}
    return {"route": route, "first": FIRST}


def graphql_requests(question: Question, key: str | None = None) -> list[bytes]:
    """Write the question as GraphQL over HTTP, once per set of variables."""
    return [
        _request("/graphql", {"query": question.document, "variables": variables}, key)
        for variables in question.variables
    ]


def bare_requests(question: Question, path: str) -> list[bytes]:
    """Write the question for the bare route, which knows it by its path."""
    return [_request(path, variables, None) for variables in question.variables]


def _request(path: str, body: Mapping[str, Any], key: str | None) -> bytes:
    content = orjson.dumps(body)
    headers = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {len(content)}",
        *([f"Authorization: Bearer {key}"] if key else []),
    ]
    return "\r\n".join(headers).encode() + b"\r\n\r\n" + content


def leaves(value: Any) -> Iterator[Any]:
    """Yield every leaf value of an answer."""
    if isinstance(value, dict):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value
