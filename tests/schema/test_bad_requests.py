"""What is wrong with a request is said with a code and a sentence; nothing of it breaks the hub."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest

from app.auth import looks_like_a_secret, new_secret
from tests.hub import JSON, Hub
from tests.world import World

MODERN = {"Accept": "application/graphql-response+json"}
ONE = '{ evse(evseId: "DE*SON*E1") { evseId } }'


def refusals_of(response: httpx.Response) -> list[tuple[str, str]]:
    """Return code and message of each error; there must be one at least, and no internal error."""
    assert response.status_code < 500, response.text
    errors = response.json()["errors"]
    assert errors
    for error in errors:
        assert len(error["message"]) > 5
        assert "Traceback" not in response.text
        assert error["extensions"]["code"] != "SERVER", response.text
    return [(error["extensions"]["code"], error["message"]) for error in errors]


def refusal_of(response: httpx.Response) -> tuple[str, str]:
    [refusal] = refusals_of(response)
    return refusal


# ---------------------------------------------------------------- HTTP and JSON


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_takes_post_only(hub: Hub, method: str) -> None:
    response = hub.client.request(method, "/graphql", headers=JSON, content=json.dumps({"query": ONE}))
    assert (response.status_code, refusal_of(response)[0]) == (405, "BAD_REQUEST")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/graphql", "multipart/form-data", "json", "\xff"]
)
def test_takes_json_only(hub: Hub, content_type: str) -> None:
    headers = [(b"content-type", content_type.encode("latin-1"))] if content_type else []
    response = hub.client.post("/graphql", headers=headers, content=json.dumps({"query": ONE}))
    assert (response.status_code, refusal_of(response)[0]) == (415, "BAD_REQUEST")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"]
)
def test_takes_json_by_every_spelling(hub: Hub, content_type: str) -> None:
    response = hub.client.post("/graphql", headers={"Content-Type": content_type}, content=json.dumps({"query": ONE}))
    assert response.json() == {"data": {"evse": {"evseId": "DE*SON*E1"}}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"query",
        b"{",
        b'{"query": NaN}',
        b'{"query": "{ me { role } }", "variables": {"x": Infinity}}',
        b'{"query": "{ me { role } }", "variables": {"x": "\\ud800"}}',
        b'{"query": "\xff"}',
        b'\xef\xbb\xbf{"query": "{ me { role } }"}',
        b"[" * 100_000,
        b'{"query": "{ me { role } }", "variables": ' + b'{"x":' * 30_000 + b"1" + b"}" * 30_000 + b"}",
        b'{"query": "{ me { role } }", "variables": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'[{"query": "{ me { role } }"}]',
        b'"{ me { role } }"',
        b"null",
        b"7",
        b"{}",
        b'{"query": null}',
        b'{"query": 7}',
        b'{"query": ["{ me { role } }"]}',
        b'{"query": "{ me { role } }", "variables": []}',
        b'{"query": "{ me { role } }", "variables": "x"}',
        b'{"query": "{ me { role } }", "variables": 0}',
        b'{"query": "{ me { role } }", "operationName": 5}',
        b'{"query": "{ me { role } }", "operationName": {}}',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_refuses_a_body_that_is_no_request(hub: Hub, world: World, body: bytes) -> None:
    # With a key, because a caller without one may not send that much.
    response = hub.client.post("/graphql", headers={**JSON, **world.authorization("nordlicht")}, content=body)
    assert (response.status_code, refusal_of(response)[0]) == (400, "BAD_REQUEST")


def test_takes_a_null_for_an_absent_member(hub: Hub) -> None:
    assert hub.post(ONE, operationName=None, extensions=None).json()["data"]["evse"] is not None
    assert hub.client.post("/graphql", json={"query": ONE, "variables": None}).status_code == 200


@pytest.mark.parametrize(("caller", "maximum"), [(None, 256_000), ("wegweiser", 256_000), ("nordlicht", 16_000_000)])
def test_refuses_a_body_that_is_too_large(hub: Hub, world: World, caller: str | None, maximum: int) -> None:
    headers = world.authorization(caller)
    response = hub.post(ONE, headers=headers, extensions={"x": "x" * maximum})
    assert (response.status_code, refusal_of(response)[0]) == (413, "BAD_REQUEST")
    hint = response.json()["errors"][0]["extensions"]["hint"]
    assert ("with the key of a role that uploads" in hint) == (maximum == 256_000)
    assert hub.ask(ONE, headers=headers, extensions={"x": "x" * (maximum - 200)}) == {"evse": {"evseId": "DE*SON*E1"}}


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("\x00", "GRAPHQL_PARSE_FAILED"),
        ('{ evse(evseId: "\\ud800") { evseId } }', "GRAPHQL_PARSE_FAILED"),
        ('{ evse(evseId: "\\u{D800}") { evseId } }', "GRAPHQL_PARSE_FAILED"),
        ("{ evse(evseId: 1e400) { evseId } }", "TOO_COMPLEX"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ evses { nodes { nothing } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ evses { nodes } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ me { role { x } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ evse { evseId } }", "GRAPHQL_VALIDATION_FAILED"),
        ('{ evse(evseId: "x") { evseId } }', "INVALID_ID"),
        ("{ evse(evseId: null) { evseId } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...F } fragment F on Query { ...F }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...Missing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ me { ... on Evse { evseId } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ me { role @skip } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ me { role @nothing } }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { changes { nothing } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($x: Nothing) { me { role } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ a: me { role } a: partners { nodes { id } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("type Query { me: Int }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ evses(within: {}) { nodes { evseId } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ evses(within: { near: null }) { nodes { evseId } } }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
def test_refuses_a_document_that_is_none(hub: Hub, query: str, code: str) -> None:
    response = hub.post(query, headers=MODERN)
    assert response.status_code == 400
    assert code in [each for each, _ in refusals_of(response)]
    assert "data" not in response.json()


WHY_A_DOCUMENT_IS_REFUSED = {
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "TOO_COMPLEX",
    "BAD_INPUT",
    "BAD_REQUEST",
}


@pytest.mark.parametrize("depth", [30, 100, 200, 300, 400, 600, 1000, 3000, 100_000])
@pytest.mark.parametrize("shape", ["fields", "inline fragments", "values", "types", "objects"])
def test_survives_every_depth_of_a_document(hub: Hub, depth: int, shape: str) -> None:
    query = {
        "fields": "{ x " * depth + "}" * depth,
        "inline fragments": "{ " + "... { " * depth + "__typename" + " }" * depth + " }",
        "values": "{ evse(evseId: " + "[" * depth + "]" * depth + ") { evseId } }",
        "types": "query ($x: " + "[" * depth + "Int" + "]" * depth + ") { me { role } }",
        "objects": "{ evses(filter: " + "{ x: " * depth + "1" + "}" * depth + ") { nodes { evseId } } }",
    }[shape]
    response = hub.post(query)
    if "errors" in response.json():
        assert {code for code, _ in refusals_of(response)} <= WHY_A_DOCUMENT_IS_REFUSED
        assert "data" not in response.json()
    else:
        assert (shape, response.json()) == ("inline fragments", {"data": {"__typename": "Query"}})


def test_survives_a_long_chain_of_fragments(hub: Hub) -> None:
    chain = "".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(900))
    response = hub.post("{ ...F0 } " + chain + "fragment F900 on Query { __typename }")
    if "errors" in response.json():
        refusals_of(response)


def test_refuses_a_document_of_too_many_tokens(hub: Hub) -> None:
    assert refusal_of(hub.post("{ " + "x " * 3_000 + "}"))[0] == "TOO_COMPLEX"


@pytest.mark.parametrize(
    ("query", "name", "possible"),
    [
        ("query A { me { role } } query B { me { role } }", None, "A, B"),
        ("query A { me { role } } query B { me { role } }", "C", "A, B"),
        ("query A { me { role } } query B { me { role } }", "", "A, B"),
        ("{ me { role } }", "A", "none with a name"),
        ("fragment F on Query { __typename }", None, ""),
    ],
)
def test_says_which_operations_there_are(hub: Hub, query: str, name: str | None, possible: str) -> None:
    [(code, message), *_] = refusals_of(hub.post(query, operationName=name))
    assert code in ("UNKNOWN_OPERATION", "GRAPHQL_VALIDATION_FAILED")
    assert possible in message


# ---------------------------------------------------------------- variables

DEEP: Any = []
for _ in range(900):
    DEEP = [DEEP]

EVSE = "query ($x: EvseId!) { evse(evseId: $x) { evseId } }"
FIRST = "query ($x: Int!) { evses(first: $x) { nodes { evseId } } }"
NEAR = "query ($x: NearInput!) { evses(within: { near: $x }) { nodes { evseId } } }"
BOUNDS = "query ($x: BoundsInput!) { evses(within: { bounds: $x }) { nodes { evseId } } }"
WITHIN = "query ($x: AreaInput!) { evses(within: $x) { nodes { evseId } } }"
FILTER = "query ($x: EvseFilter!) { evses(filter: $x) { nodes { evseId } } }"
SINCE = "query ($x: DateTime!) { auditLog(since: $x) { nodes { id } } }"
STATUS = "query ($x: [ContractStatus!]) { contracts(status: $x) { nodes { id } } }"
PARTNER = "query ($x: ID!) { partner(id: $x) { id } }"
SKIP = "query ($x: Boolean!) { me @skip(if: $x) { role } }"


def near(latitude: Any = 0, longitude: Any = 0, **more: Any) -> dict[str, Any]:
    return {"latitude": latitude, "longitude": longitude, **more}


def bounds(south: Any, west: Any, north: Any, east: Any) -> dict[str, Any]:
    return {"minimumLatitude": south, "minimumLongitude": west, "maximumLatitude": north, "maximumLongitude": east}


@pytest.mark.parametrize(
    ("query", "value", "code"),
    [
        *(
            (EVSE, value, "INVALID_ID")
            for value in ("", "x", "DE*SON*X1", "DE*SON*E", "DE*SON*E\x00", "\u216eE*SON*E1", "x" * 9999)
        ),
        *((EVSE, value, "BAD_INPUT") for value in (None, 1, 1.5, True, [], ["DE*SON*E1"], {}, DEEP, 10**30)),
        *((FIRST, value, "BAD_PAGE_SIZE") for value in (0, 501, -1, 2**31 - 1, -(2**31))),
        *((FIRST, value, "BAD_INPUT") for value in (None, "5", 5.5, True, [], {}, 2**31, 10**30, 1e300, DEEP)),
        *(
            (NEAR, near(**{name: value}), "BAD_AREA")
            for name, value in (
                ("latitude", 90.000001),
                ("latitude", -91),
                ("latitude", 1e308),
                ("longitude", 180.1),
                ("longitude", -1e308),
                ("radiusM", 0),
                ("radiusM", -1),
                ("radiusM", 20_100_001),
                ("radiusM", 1e308),
            )
        ),
        *(
            (NEAR, near(**{name: value}), "BAD_INPUT")
            for name in ("latitude", "longitude", "radiusM")
            for value in (None, "1", True, [], {}, DEEP)
        ),
        *((NEAR, value, "BAD_INPUT") for value in (None, {}, {"latitude": 1}, [], "x", near(altitude=1), DEEP)),
        *(
            (BOUNDS, bounds(*corners), "BAD_AREA")
            for corners in (
                (1, 0, 0, 1),
                (1, 0, 1, 1),
                (0, 1, 1, 1),
                (-91, 0, 0, 1),
                (0, 0, 91, 1),
                (0, -181, 1, 1),
                (0, 0, 1, 181),
                (0, 0, 1e308, 1),
            )
        ),
        *(
            (WITHIN, value, "BAD_INPUT")
            for value in (
                {},
                {"near": None},
                {"near": near(), "bounds": bounds(0, 0, 1, 1)},
                {"near": near(), "bounds": None},
                {"nowhere": {}},
            )
        ),
        *(
            (FILTER, {name: value}, "INVALID_ID")
            for name in ("evseIds", "operatorIds", "locationIds")
            for value in ("", ["\x00"], ["\x00" * 9999], ["DE*SON*E1\x00"], ["x" * 9999])
        ),
        *(
            (FILTER, {name: [None]}, "BAD_INPUT")
            for name in ("evseIds", "locationIds", "authMethods", "connectorStandards")
        ),
        *(
            (FILTER, {name: 1}, "BAD_INPUT")
            for name in ("evseIds", "locationIds", "operatorIds", "authMethods", "nothing")
        ),
        *(
            (FILTER, {name: ["nothing"]}, "BAD_INPUT")
            for name in ("authMethods", "connectorFormats", "locationTypes", "chargePointTypes")
        ),
        *(
            (FILTER, {name: value}, "BAD_INPUT")
            for name in ("minPowerKw", "maxPowerKw")
            for value in ("1", True, [], 10**400)
        ),
        (FILTER, {"evseIds": ["DE*SON*E1"] * 1001}, "BAD_FILTER"),
        (FILTER, {"authMethods": ["PUBLIC"] * 1001}, "BAD_FILTER"),
        *(
            (SINCE, value, "BAD_INPUT")
            for value in (
                None,
                "",
                1,
                "now",
                "2024-01-01",
                "2024-01-01T00:00:00",
                "2024-13-01T00:00:00Z",
                "2024-01-01T25:00:00Z",
                "0001-01-01T00:00:00+23:59",
                "9999-12-31T23:59:59-23:59",
                "2024-01-01T00:00:00Z\x00",
                "\u0662024-01-01T00:00:00Z",
                [],
                DEEP,
            )
        ),
        *((STATUS, value, "BAD_INPUT") for value in ("nothing", ["ACTIVE", None], [1], ["active"], {}, DEEP)),
        *((PARTNER, value, "BAD_INPUT") for value in (None, 1.5, True, [], {})),
        *((SKIP, value, "BAD_INPUT") for value in (None, "true", 1, [])),
    ],
)
def test_refuses_a_variable_that_does_not_fit(hub: Hub, world: World, query: str, value: Any, code: str) -> None:
    headers = world.authorization("leitstelle")
    content = json.dumps({"query": query, "variables": {"x": value}})
    response = hub.client.post("/graphql", headers={**headers, **JSON}, content=content)
    if response.status_code == 400:
        assert refusal_of(response)[0] == "BAD_REQUEST"  # a number that is none even in JSON
        return
    assert code in [each for each, _ in refusals_of(response)]
    assert response.json().get("data") is None


@pytest.mark.parametrize("query", [EVSE, FIRST, NEAR, FILTER, SINCE, PARTNER, SKIP])
def test_refuses_an_absent_variable(hub: Hub, query: str) -> None:
    assert refusal_of(hub.post(query, {}))[0] == "BAD_INPUT"
    assert refusal_of(hub.post(query, {}, headers=MODERN))[0] == "BAD_INPUT"
    assert hub.post(query, {}, headers=MODERN).status_code == 400


def test_refuses_a_null_where_a_default_stands(hub: Hub) -> None:
    query = "query ($x: Int) { evses(first: $x) { nodes { evseId } } }"
    assert refusal_of(hub.post(query, {"x": None}))[0] == "BAD_INPUT"
    assert len(hub.ask(query)["evses"]["nodes"]) == 18


@pytest.mark.parametrize("id_", ["", "\x00", "x", "0" * 9999, "{00000001-0000-4000-8000-000000000008}\x00", 7, 10**30])
def test_finds_no_partner_by_what_is_no_id(hub: Hub, world: World, id_: Any) -> None:
    content = json.dumps({"query": PARTNER, "variables": {"x": id_}})
    headers = {**JSON, **world.authorization("leitstelle")}
    response = hub.client.post("/graphql", headers=headers, content=content)
    assert response.json() == {"data": {"partner": None}}
    audit = "query ($x: ID!) { auditLog(partnerId: $x) { nodes { id } } }"
    response = hub.client.post(
        "/graphql", headers=headers, content=json.dumps({"query": audit, "variables": {"x": id_}})
    )
    assert response.json() == {"data": {"auditLog": {"nodes": []}}}


def test_says_the_same_on_both_ways(hub: Hub, world: World) -> None:
    """Whatever needs the executor is refused with the same words."""
    headers = world.authorization("wegweiser")
    for query, value in ((FIRST, 0), (NEAR, near(91)), (FILTER, {"evseIds": ["DE*SON*E1"] * 1001})):
        compiled = hub.post(query, {"x": value}, headers).json()
        executed = hub.post(
            query.replace(") { evses", ") { __schema { queryType { name } } evses"), {"x": value}, headers
        ).json()
        for each in (compiled, executed):
            del each["errors"][0]["locations"]
        assert compiled == executed


# ---------------------------------------------------------------- cursors


def cursor(*place: Any) -> str:
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


NEAR_ULM = "within: { near: { latitude: 48, longitude: 10 } }"
LISTS = {
    name: f"query ($after: String) {{ list: {field}, after: $after) {{ nodes {{ __typename }} }} }}"
    for name, field in {
        "evses": "evses(first: 50",
        "near": f"evses({NEAR_ULM}",
        "partners": "partners(first: 50",
        "contracts": "contracts(first: 50",
        "auditLog": "auditLog(first: 50",
        "refusals": "refusals(first: 50",
    }.items()
}
SOME_ID = "00000001-0000-4000-8000-000000000001"
CURSORS = {
    "evses": cursor("evse_id", "DESONE1"),
    "near": cursor("distance_m+evse_id", 5.5, "DESONE1"),
    "partners": cursor("name+id", "x", SOME_ID),
    "contracts": cursor("created_at+id", "2024-01-01T00:00:00+00:00", SOME_ID),
    "auditLog": cursor("id", 1),
    "refusals": cursor("id", 1),
}
MANGLED = [
    "",
    "x",
    "=",
    "\x00",
    "ä",
    "💥",
    "!!!!",
    "A" * 100_000,
    cursor(),
    cursor("evse_id"),
    cursor("evse_id", "a", "b"),
    cursor(None, None),
    cursor(["evse_id"], "a"),
    cursor("evse_id", None),
    cursor("evse_id", 1),
    cursor("evse_id", ["a"]),
    cursor("evse_id", "a\x00"),
    cursor("evse_id", "\ud800"),
    cursor("distance_m+evse_id", "5", "a"),
    cursor("distance_m+evse_id", 5, "\x00"),
    cursor("distance_m+evse_id", True, "a"),
    cursor("distance_m+evse_id", None, "a"),
    cursor("distance_m+evse_id", 10**400, "a"),
    cursor("name+id", "x", 5),
    cursor("name+id", "x", "y"),
    cursor("name+id", "\x00", SOME_ID),
    cursor("name+id", 1, SOME_ID),
    cursor("created_at+id", "now", SOME_ID),
    cursor("created_at+id", 5, SOME_ID),
    cursor("created_at+id", "", SOME_ID),
    cursor("created_at+id", "0001-01-01T00:00:00+23:59", SOME_ID),
    cursor("created_at+id", "9999-12-31T23:59:59-23:59", SOME_ID),
    cursor("created_at+id", "2024-01-01T00:00:00+00:00", [1]),
    cursor("id", 2**63),
    cursor("id", -(2**63) - 1),
    cursor("id", 1.5),
    cursor("id", "1"),
    cursor("id", True),
    cursor("id", 10**400),
    cursor("id", 1e300),
    urlsafe_b64encode(b"[" * 50_000).decode(),
    urlsafe_b64encode(b'{"evse_id": 1}').decode(),
    urlsafe_b64encode(b"null").decode(),
    urlsafe_b64encode(b'["evse_id", "\xff"]').decode(),
    urlsafe_b64encode(b"7").decode(),
]


@pytest.mark.parametrize("list_", LISTS)
def test_refuses_a_mangled_cursor(hub: Hub, world: World, list_: str) -> None:
    for after in MANGLED:
        response = hub.post(LISTS[list_], {"after": after}, world.authorization("leitstelle"))
        code, message = refusal_of(response)
        assert (code, response.json()["data"]) == ("BAD_CURSOR", None), after
        assert "endCursor" in response.text, message


def test_refuses_the_cursor_of_another_list(hub: Hub, world: World) -> None:
    headers = world.authorization("leitstelle")
    for list_, query in LISTS.items():
        for other, after in CURSORS.items():
            answer = hub.post(query, {"after": after}, headers).json()
            if list_ == other or {list_, other} == {"auditLog", "refusals"}:
                assert answer["data"]["list"] is not None
            else:
                assert answer["errors"][0]["extensions"]["code"] == "BAD_CURSOR", (list_, other)


# ---------------------------------------------------------------- who is asking


def without_rights() -> list[bytes]:
    secret = new_secret()
    other = "x" if secret[-1] != "x" else "y"
    return [
        b"",
        b"Bearer",
        b"Basic YTpi",
        b"ochub_",
        secret.encode(),
        b"Bearer ochub_",
        b"Bearer ochub_short",
        b"Bearer " + secret[:-1].encode(),
        b"Bearer " + (secret[:-1] + other).encode(),
        b"Bearer " + secret.encode() + b"x",
        b"Bearer " + secret.encode() + b" x",
        b"Bearer " + secret.upper().encode(),
        b"Bearer " + secret.encode(),
        b"Bearer " + b"\xff" * 44,
        b"Bearer ochub_" + b"\xc3\xa4" * 19,
        b"Bearer " + b"x" * 10_000,
        b"Bearer:" + secret.encode(),
        b"Token " + secret.encode(),
    ]


# Secrets differ from run to run, so these are distinguished by number: all workers must name the same tests.
@pytest.mark.parametrize("authorization", without_rights(), ids=map(str, range(len(without_rights()))))
def test_refuses_what_is_no_key(hub: Hub, authorization: bytes) -> None:
    for query in (ONE, "{ me { role } }", "{ __typename }", "nonsense"):
        headers = [(b"content-type", b"application/json"), (b"authorization", authorization)]
        response = hub.client.post("/graphql", headers=headers, content=json.dumps({"query": query}))
        assert (response.status_code, refusal_of(response)[0]) == (401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"
        assert "data" not in response.json()


def test_refuses_the_key_of_a_suspended_partner(hub: Hub, world: World) -> None:
    assert looks_like_a_secret(world.secrets["ruhend"])
    response = hub.post("{ me { role } }", headers=world.authorization("ruhend"))
    assert (response.status_code, refusal_of(response)[0]) == (401, "UNAUTHENTICATED")


def test_takes_a_key_by_every_spelling_of_bearer(hub: Hub, world: World) -> None:
    secret = world.secrets["wegweiser"]
    for header in (f"Bearer {secret}", f"bearer {secret}", f"BEARER   {secret}"):
        assert hub.ask("{ me { role } }", headers={"Authorization": header}) == {"me": {"role": "NSP"}}


def test_never_shows_a_secret(hub: Hub, world: World) -> None:
    secret = world.secrets["wegweiser"]
    wrong = secret[:-1] + ("x" if secret[-1] != "x" else "y")
    response = hub.post(ONE, headers={"Authorization": f"Bearer {wrong}"})
    assert wrong[10:] not in response.text


# ---------------------------------------------------------------- mutations that change nothing


@pytest.mark.parametrize(
    ("caller", "partner_id", "code"),
    [
        (None, SOME_ID, "UNAUTHENTICATED"),
        ("wegweiser", SOME_ID, "FORBIDDEN"),
        ("wegweiser", "00000001-0000-4000-8000-000000000008", "FORBIDDEN"),
        ("leitstelle", "00000001-0000-4000-8000-000000000099", "NOT_FOUND"),
        ("leitstelle", "x", "NOT_FOUND"),
    ],
)
def test_refuses_an_update_that_names_nothing(
    hub: Hub, world: World, caller: str | None, partner_id: str, code: str
) -> None:
    query = "mutation ($id: ID!) { updatePartner(partnerId: $id) { id name apiKeys { prefix } } }"
    assert refusal_of(hub.post(query, {"id": partner_id}, world.authorization(caller)))[0] == code


def test_gives_a_partner_that_is_updated_with_nothing(hub: Hub, world: World) -> None:
    query = "mutation ($id: ID!) { updatePartner(partnerId: $id) { name } }"
    shown = hub.ask(query, {"id": SOME_ID}, world.authorization("leitstelle"))
    assert shown == {"updatePartner": {"name": "Leitstelle"}}
