"""The page for developers: GraphiQL, what it loads, and the examples it offers."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLInputObjectType, get_named_type, get_operation_ast, is_required_input_field, parse, validate
from graphql.execution.values import get_variable_values
from starlette.applications import Starlette

from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.keys import issue_key
from app.exchange.partners import register_partner
from app.exchange.roles import Party, RoleName
from app.vocabulary import Role
from schema.build import schema
from schema.ide import FROM_PACKAGES, PACKAGES, Example, ide_routes, list_examples
from tests.hub import Hub, serve
from tests.npm import pinned
from tests.wire.talk import talk
from tests.world import BEGINNING, FAR_AWAY, World

ROOT = Path(__file__).parents[2]
CORE = schema._schema
EXAMPLES = list_examples()
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

installed = pytest.mark.usefixtures("npm_packages")


@pytest.fixture(scope="module")
def npm_packages() -> None:
    """Require what the tests run: without it they would prove nothing."""
    assert all((PACKAGES / path).is_file() for path in FROM_PACKAGES.values()), (
        "npm's packages are missing; ./setup dev brings them"
    )


FOLLOWED = [example for example in EXAMPLES if "\nsubscription" in example.query]
ASKED = [example for example in EXAMPLES if example not in FOLLOWED]
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)


@pytest.fixture(scope="module")
def development(world: World) -> Iterator[Hub]:
    with serve(world.dsn, profile="DEVELOPMENT") as hub:
        yield hub


# ---------------------------------------------------------------- the page


@installed
def test_loads_nothing_from_elsewhere(development: Hub) -> None:
    page = development.client.get("/graphiql")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    addresses = {address for address in loaded if address != "data:,"}
    assert addresses == {f"/graphiql/assets/{name}" for name in (*FROM_PACKAGES, "ide.js", "ide.css")}
    for address in addresses:
        asset = development.client.get(address)
        kind = "text/javascript" if address.endswith(".js") else "text/css"
        assert (asset.status_code, asset.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert asset.content


@installed
def test_lets_the_page_run_no_code_but_the_hubs_own(development: Hub) -> None:
    page = development.client.get("/graphiql")
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy.pop("style-src") == "'self' 'unsafe-inline'"
    assert policy["default-src"] == "'none'"
    assert {source for sources in policy.values() for source in sources.split()} == {"'none'", "'self'", "data:"}
    assert policy["script-src"] == "'self'"
    assert re.findall(r"<script(?![^>]* src=)|\son\w+=|javascript:", page.text) == []


def test_serves_nothing_of_the_packages_but_what_the_page_loads(development: Hub) -> None:
    for name in ("nothing.js", "package.json", "..%2Fide.py", "%2e%2e/%2e%2e/pyproject.toml"):
        assert development.client.get(f"/graphiql/assets/{name}").status_code == 404


async def test_says_how_to_get_what_is_not_installed(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(Starlette(routes=ide_routes(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        page = await client.get("/graphiql")
        assert (page.status_code, (await client.get("/graphiql/assets/react.js")).status_code) == (503, 404)
    assert "run <code>./setup</code>" in page.text
    assert "script" not in page.text


def test_brings_a_browser_from_the_api_to_the_page(development: Hub) -> None:
    answer = development.client.get("/graphql", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (307, "/graphiql")


@pytest.mark.parametrize(("method", "status"), [("GET", 400), ("HEAD", 405), ("PUT", 405)])
def test_leaves_everybody_else_to_the_api(development: Hub, method: str, status: int) -> None:
    assert development.client.request(method, "/graphql").status_code == status
    assert development.client.request("PUT", "/graphql", headers=HTML).status_code == 405
    assert development.ask("{ __typename }") == {"__typename": "Query"}


def test_is_not_there_in_production(hub: Hub) -> None:
    assert hub.client.get("/graphiql").status_code == 404
    assert hub.client.get("/graphiql/assets/examples.json").status_code == 404
    assert hub.client.get("/graphql", headers=HTML).status_code == 405


def test_pins_what_the_page_loads_without_naming_a_registry() -> None:
    assert {path.split("/")[0] for path in FROM_PACKAGES.values()} == pinned(ROOT)


# ---------------------------------------------------------------- the examples


def test_offers_the_examples_of_its_directory(development: Hub) -> None:
    offered = development.client.get("/graphiql/assets/examples.json").json()
    assert offered == [asdict(example) for example in EXAMPLES]
    assert len({example.title for example in EXAMPLES}) == len(EXAMPLES) == 7


@every_example
def test_offers_examples_that_the_schema_allows(example: Example) -> None:
    document = parse(example.query)
    assert validate(CORE, document) == []
    operation = get_operation_ast(document)
    assert operation is not None
    assert operation.name is not None, "GraphiQL names the tab after it"
    declared = operation.variable_definitions or ()
    coerced = get_variable_values(CORE, declared, variables_of(example))
    assert not isinstance(coerced, list), coerced
    assert variables_of(example).keys() == {node.variable.name.value for node in declared}


@every_example
def test_explains_every_example(example: Example) -> None:
    assert example.title
    assert example.about.endswith(".")
    assert not example.headers or "key" in example.about
    assert max(map(len, example.query.splitlines())) <= 64, "wider than GraphiQL's editor"


@pytest.mark.parametrize("example", [e for e in ASKED if not e.headers], ids=lambda example: example.title)
def test_answers_examples_without_a_key(development: Hub, example: Example) -> None:
    assert development.ask(example.query, variables_of(example))


@pytest.mark.parametrize("caller", ["leitstelle", "sonnenstrom", "wegweiser"])
@pytest.mark.parametrize("example", [e for e in ASKED if "query" in e.query], ids=lambda example: example.title)
def test_answers_examples_to_partners(development: Hub, world: World, example: Example, caller: str) -> None:
    assert development.ask(example.query, variables_of(example), world.authorization(caller))


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.headers], ids=lambda example: example.title)
def test_says_what_is_missing_where_a_key_was_not_filled_in(development: Hub, example: Example) -> None:
    answer = development.post(example.query, variables_of(example), json.loads(example.headers))
    assert answer.status_code == 401
    assert "ochub_..." in answer.json()["errors"][0]["extensions"]["hint"]


def test_streams_the_example_of_a_subscription_and_goes_on_from_its_cursor(development: Hub, world: World) -> None:
    """Over a socket, as GraphiQL does it, with what its headers pane holds in connection_init."""
    [example] = FOLLOWED
    variables = variables_of(example)
    with talk(development) as client:
        client.init(world.authorization("wegweiser"))
        client.subscribe("1", example.query, {**variables, "within": AROUND_ULM})
        changes: list[Any] = []
        page: dict[str, Any] = {"hasMore": True}
        while page["hasMore"]:
            page = client.hear()["payload"]["data"]["changes"]
            changes += page["changes"]
        assert {change["kind"] for change in changes} == {"EVSE", "PARKING_SPOT"}
        for change in changes:
            shown = change["evse"] or change["parkingSpot"]
            assert change["id"] in (shown.get("evseId"), shown.get("parkingId"))
            assert (change["action"], change["evse"] is None) == ("UPSERTED", change["kind"] == "PARKING_SPOT")
        client.subscribe("2", example.query, {**variables, "cursor": page["cursor"], "initial": False})
        client.subscribe("3", example.query, {**variables, "cursor": page["cursor"]})
        [refused] = client.hear_of("3")
        assert refused["type"] == "error", "cursor and initial exclude each other"


AROUND_ULM = {
    "bounds": {"minimumLatitude": 48, "minimumLongitude": 9.5, "maximumLatitude": 49, "maximumLongitude": 10.5}
}


async def test_accepts_the_charge_points_of_the_example_twice(database_url: str, database: Database) -> None:
    example = publishing()
    role = RoleName(Role.EVSE_OPERATOR, "DE8AC")
    partner_id = await register_partner(database, CONSOLE, "Example", [role], BEGINNING)
    key = await issue_key(database, CONSOLE, Party(partner_id, role), FAR_AWAY, BEGINNING)
    with serve(database_url) as hub:
        headers = {"Authorization": f"Bearer {key.secret}"}
        reports = [hub.ask(example.query, variables_of(example), headers)["updateChargePointList"] for _ in range(2)]
    assert [report["refused"] for report in reports] == [[], []]
    assert [(report["accepted"], report["unchanged"]) for report in reports] == [(2, 0), (0, 2)]


def test_says_in_the_first_charge_point_all_that_can_be_said_and_in_the_second_what_must_be() -> None:
    full, least = variables_of(publishing())["chargePoints"]
    type_ = CORE.type_map["ChargePointInput"]
    assert isinstance(type_, GraphQLInputObjectType)
    assert least.keys() == {name for name, field in type_.fields.items() if is_required_input_field(field)}
    assert unsaid(full, type_, "") == {".openingTimes.twentyfourseven"}, "excluded by regularHours"


def unsaid(value: Any, type_: GraphQLInputObjectType, path: str) -> set[str]:
    """Return the paths of the fields that no item of a value has."""
    items = value if isinstance(value, list) else [value]
    missing: set[str] = set()
    for name, field in type_.fields.items():
        said = [item[name] for item in items if name in item]
        inner = get_named_type(field.type)
        if not said:
            missing.add(f"{path}.{name}")
        elif isinstance(inner, GraphQLInputObjectType):
            nested = [part for one in said for part in (one if isinstance(one, list) else [one])]
            missing |= unsaid(nested, inner, f"{path}.{name}")
    return missing


def publishing() -> Example:
    return next(example for example in EXAMPLES if "updateChargePointList" in example.query)


def variables_of(example: Example) -> dict[str, Any]:
    return json.loads(example.variables or "{}")
