"""What is asked of every variant: two documents, with other variables each time, all from one seed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

FIRST = 50
RADIUS_M = 25_000.0
#: Centres lie so many degrees (standard deviation) beside an EVSE.
BESIDE_DEGREES = 0.01

NEAREST = """
query Nearest($near: NearInput!, $first: Int!) {
  evses(within: {near: $near}, first: $first) {
    nodes {
      evseId
      distanceM
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
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

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
    """A document and the variables it is asked with. `path`: where the bare route answers the same."""

    name: str
    document: str
    path: str
    variables: Sequence[Mapping[str, Any]]


def questions(spots: Sequence[Spot], seed: int) -> tuple[Question, Question]:
    """Give (a) the nearest EVSEs of each spot's surroundings and (b) each spot's EVSE."""
    chance = random.Random(seed)
    return (
        Question("a: 50 nearest", NEAREST, "/nearest", [_near(chance, spot) for spot in spots]),
        Question("b: one by id", ONE, "/evse", [{"evseId": spot.evse_id} for spot in spots]),
    )


def _near(chance: random.Random, spot: Spot) -> Mapping[str, Any]:
    near = {
        "longitude": round(spot.longitude + chance.gauss(0, BESIDE_DEGREES), 6),
        "latitude": round(spot.latitude + chance.gauss(0, BESIDE_DEGREES), 6),
        "radiusM": RADIUS_M,
    }
    return {"near": near, "first": FIRST}


def graphql_requests(question: Question, key: str | None = None) -> list[bytes]:
    """Write the question as GraphQL over HTTP, once per set of variables."""
    return [
        _request("/graphql", {"query": question.document, "variables": variables}, key)
        for variables in question.variables
    ]


def bare_requests(question: Question) -> list[bytes]:
    """Write the question for the bare route, which knows it by its path."""
    return [_request(question.path, variables, None) for variables in question.variables]


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
    """Give every leaf value of an answer."""
    if isinstance(value, dict):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value
