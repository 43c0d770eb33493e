"""The README names every setting, command and code, and what it quotes is valid."""

import importlib
import json
import pkgutil
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import pytest
from graphql import parse, validate, value_from_ast_untyped
from graphql.language import parse_value

import app
import schema as schema_room
from app.cli import main
from app.db.cluster import Cluster
from app.errors import HubError
from app.settings import Settings, variable_of
from app.uploads.checks import RefusalCode
from app.vocabulary import Role
from schema.build import schema
from tests.exchange.world import enrol
from tests.hub import Hub, scratch_database, serve
from tests.wire.talk import events, parsed
from tests.world import CCS, evse

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def codes() -> set[str]:
    for room in (app, schema_room):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)
    errors = importlib.import_module("schema.errors")
    named = {errors.PARSE_FAILED, errors.VALIDATION_FAILED, errors.BAD_INPUT, errors.INTERNAL, errors.TIMEOUT}
    pending, found = [HubError], set[str]()
    while pending:
        error = pending.pop()
        found.add(error.code)
        pending += error.__subclasses__()
    return found | named | {code.value for code in RefusalCode}


def commands(group: click.Group, name: str) -> list[str]:
    context = click.Context(group)
    found: list[str] = []
    for child in group.list_commands(context):
        command = group.get_command(context, child)
        found += commands(command, f"{name} {child}") if isinstance(command, click.Group) else [f"{name} {child}"]
    return found


@pytest.mark.parametrize("code", sorted(codes()))
def test_explains_every_code(code: str):
    assert f"`{code}`" in README


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_explains_every_setting(name: str):
    assert f"`{variable_of(name)}`" in README


def test_names_every_command():
    for command in commands(main, "ochub"):
        _, group, *rest = command.split()
        quoted = re.findall(rf"`ochub {group}\b([^`]*)`", README)
        assert any(all(word in row for word in rest) for row in quoted), command


def test_quotes_valid_documents():
    documents = re.findall(r"```graphql\n(.*?)```", README, re.S)
    assert len(documents) >= 2
    for document in documents:
        assert validate(schema._schema, parse(document)) == []


def test_knows_no_code_that_is_gone():
    tables = re.findall(r"^\| (`[A-Z_`, ]+`) \|", README.split("## Errors")[1], re.M)
    named = set(re.findall(r"`([A-Z_]+)`", " ".join(tables)))
    assert named <= codes(), named - codes()


# ---------------------------------------------------------------- what it shows runs as pasted

DOCUMENTS = re.findall(r"```graphql\n(.*?)```", README, re.S)
PARIS = {"latitude": 48.8566, "longitude": 2.3522}


@dataclass(frozen=True)
class Reader:
    """Somebody who pastes from the README, with a key of each role it speaks of."""

    hub: Hub
    operator: dict[str, str]
    pso: dict[str, str]

    def paste(self, name: str, headers: dict[str, str] | None = None, **variables: Any) -> dict[str, Any]:
        """Ask what the README calls so; gives the answer to its one field."""
        data = self.hub.ask(document(name), variables, headers)
        [answer] = data.values()
        return answer


@pytest.fixture(scope="module")
def reader(cluster: Cluster, template: str) -> Iterator[Reader]:
    """A hub with the parties that the README's examples act for, one of them open to everybody."""
    with scratch_database(cluster.dsn, template, f"readme_{uuid4().hex}") as dsn, serve(dsn) as hub:

        async def partners() -> list[dict[str, str]]:
            [operator] = await enrol(hub.database, "Operator", (Role.EVSE_OPERATOR, "DE8AC"), open_=True)
            [pso] = await enrol(hub.database, "Parking", (Role.PSO, "DEPRK"))
            return [{"Authorization": f"Bearer {member.key.secret}"} for member in (operator, pso)]

        yield Reader(hub, *hub.run(partners()))


def document(name: str) -> str:
    """Find a document by the name of its operation."""
    [found] = [text for text in DOCUMENTS if re.match(rf"(query|mutation|subscription) {name}\b", text)]
    return found


def quoted_object(*fields: str) -> Any:
    """Find an object that the README quotes in a line, by its fields, in GraphQL's notation or in JSON's."""
    pattern = r"`(\{" + ", ".join(rf'"?{name}"?: [^,}}]+' for name in fields) + r"\})`"
    [found] = re.findall(pattern, README)
    return value_from_ast_untyped(parse_value(re.sub(r'"(\w+)":', r"\1:", found)))


def charge_point(number: int) -> dict[str, Any]:
    """Give an EVSE in Paris that all examples find, with a spot of its own."""
    more = {"openingTimes": {"twentyfourseven": True}, "parkingSpots": [{"parkingId": f"DE*PRK*P{number}"}]}
    place = PARIS["latitude"], PARIS["longitude"]
    return evse(f"DE*8AC*E{number}", "GARE", *place, CCS, kw=150, chargePointType="DC", **more)


EVSES = [charge_point(number) for number in (1, 2)]


def publish(reader: Reader) -> None:
    report = reader.paste("Publish", reader.operator, chargePoints=EVSES)
    assert (report["result"]["code"], report["accepted"] + report["unchanged"], report["refused"]) == ("OK", 2, [])


def test_publishes_charge_points_and_spots_as_it_says(reader: Reader) -> None:
    publish(reader)
    again = reader.paste("Publish", reader.operator, chargePoints=EVSES)
    assert (again["accepted"], again["unchanged"]) == (0, 2)
    spots = [{"parkingId": "DE*PRK*P1", "number": "7"}, {"parkingId": "DE*XYZ*P1"}]
    report = reader.paste("PublishSpots", reader.pso, parkingSpots=spots)
    assert report["result"]["code"] == "PARTLY"
    assert [(each["path"], each["code"]) for each in report["refused"]] == [("parkingSpots[1].parkingId", "INVALID_ID")]


def test_puts_a_list_in_parts_in_force_as_it_says(reader: Reader) -> None:
    publish(reader)
    third = quoted_object("listId", "number", "last")
    assert reader.paste("OnePart", reader.operator, chargePoints=[charge_point(3)], part=third)["accepted"] == 1
    for number in (1, 2):
        part = {**third, "number": number}
        report = reader.paste("OnePart", reader.operator, chargePoints=[charge_point(number)], part=part)
        assert (report["accepted"], report["unchanged"]) == (1, 0), "it only waits"
    report = reader.paste("OnePart", reader.operator, chargePoints=[], part={**third, "number": 4, "last": True})
    assert (report["accepted"], report["unchanged"], report["removed"]) == (1, 2, 0)


def test_sends_status_and_follows_it_as_it_says(reader: Reader) -> None:
    publish(reader)
    evse_status, spot_status = quoted_object("evseId", "major", "minor"), quoted_object("parkingId", "status")
    cursor = None
    with events(reader.hub, document("Follow")) as response:
        pages = (data["data"]["changes"] for name, data in parsed(response) if name == "next")
        ids: set[str] = set()
        for page in pages:
            ids |= {change["id"] for change in page["changes"] if change["action"] == "UPSERTED"}
            if not page["hasMore"]:
                break
        assert {"DE*8AC*E1", "DE*8AC*E2"} <= ids
        assert reader.paste("Now", reader.pso, parkingSpots=[spot_status])["accepted"] == 1
        report = reader.paste("Now", reader.operator, evses=[evse_status])
        assert (report["accepted"], report["refused"]) == (1, [])
        cursor = told_of(pages, "DE*8AC*E1", {"major": "NOT_AVAILABLE", "minor": "CHARGING"})
    assert reader.paste("Now", reader.operator, evses=[{**evse_status, "major": "AVAILABLE", "minor": None}])
    back = {"cursor": cursor, "initial": False}
    with events(reader.hub, document("Follow"), variables=back) as response:
        pages = (data["data"]["changes"] for name, data in parsed(response) if name == "next")
        # Free again, but its spot is taken: what the PSO said is part of the combined status.
        told_of(pages, "DE*8AC*E1", {"major": "NOT_AVAILABLE", "minor": "BLOCKED"})


def told_of(pages: Iterator[dict[str, Any]], evse_id: str, status: dict[str, str]) -> str:
    """Hear pages until one tells a combined status; gives its cursor."""
    for page in pages:
        shown = [change["evse"]["combinedStatus"] for change in page["changes"] if change["id"] == evse_id]
        if status in shown:
            return page["cursor"]
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("text", [text for text in DOCUMENTS if re.match("query|{", text)])
def test_asks_as_it_says(reader: Reader, text: str) -> None:
    publish(reader)
    free = {"major": "AVAILABLE"}
    reader.paste("Now", reader.operator, evses=[{"evseId": each["evseId"], **free} for each in EVSES])
    reader.paste("Now", reader.pso, parkingSpots=[{"parkingId": "DE*PRK*P1", "status": "AVAILABLE"}])
    answer = reader.hub.ask(text, PARIS if "$latitude" in text else None)
    assert all(found["edges" if "edges" in found else "nodes"] for found in answer.values()), answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_asks_from_the_shell_as_it_says(reader: Reader) -> None:
    publish(reader)
    [command] = re.findall(r"```sh\n(curl -s http://127.0.0.1:8000/graphql .*?)```", README, re.S)
    pasted = command.replace("http://127.0.0.1:8000", reader.hub.url)
    answer = json.loads(subprocess.run(["sh", "-c", pasted], capture_output=True, check=True, timeout=60).stdout)
    [shown] = re.findall(r"```json\n(\{.data.*?)```", README, re.S)
    [node], [example] = (found["data"]["evses"]["nodes"] for found in (answer, json.loads(shown)))
    assert node.keys() == example.keys()
    assert node["evseId"] in ("DE*8AC*E1", "DE*8AC*E2")
