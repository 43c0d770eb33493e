"""What the pages show runs as pasted: queries, uploads and streams on a hub, commands and SQL on a database."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from graphql import value_from_ast_untyped
from graphql.language import parse_value

from app.db.cluster import Cluster
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.guides.pages import PAGES, ROOT
from app.vocabulary import Role
from tests.exchange.world import enrol, utc_now
from tests.hub import Hub, scratch_database, serve
from tests.wire.talk import events, parsed
from tests.world import CCS, evse

ALL = "\n".join((ROOT / page.path).read_text("utf-8") for page in PAGES)
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = re.findall(r"```graphql\n(.*?)```", ALL, re.S)
#: Commands of the README as they are pasted into a shell.
CURLS = re.findall(r"```sh\n(curl .*?)```", README, re.S)
PARIS = {"latitude": 48.8566, "longitude": 2.3522}
PATIENCE_S = 60

with_curl = pytest.mark.usefixtures("curl")


@pytest.fixture(scope="module")
def curl() -> None:
    """Require what the tests run: without it they would prove nothing."""
    assert shutil.which("curl"), "curl is not installed"


@dataclass(frozen=True)
class Reader:
    """A reader of the pages: a hub, and a key of each role that the examples act in."""

    hub: Hub
    dsn: str
    operator: dict[str, str]
    pso: dict[str, str]

    def paste(self, name: str, headers: dict[str, str] | None = None, **variables: Any) -> dict[str, Any]:
        """Return the answer to the one field of the document of that name."""
        data = self.hub.ask(document(name), variables, headers)
        [answer] = data.values()
        return answer


@pytest.fixture(scope="module")
def reader(cluster: Cluster, template: str) -> Iterator[Reader]:
    """A hub with the parties that the examples act for, one of them open to everybody."""
    with scratch_database(cluster.dsn, template, f"guides_{uuid4().hex}") as dsn, serve(dsn) as hub:

        async def partners() -> list[dict[str, str]]:
            [operator] = await enrol(hub.database, "Operator", (Role.EVSE_OPERATOR, "DE8AC"), open_=True)
            [pso] = await enrol(hub.database, "Parking", (Role.PSO, "DEPRK"))
            await set_contract(hub.database, CONSOLE, operator.party, pso.party, utc_now())
            return [{"Authorization": f"Bearer {member.key.secret}"} for member in (operator, pso)]

        yield Reader(hub, dsn, *hub.run(partners()))


def document(name: str) -> str:
    """Return the document whose operation has that name."""
    [found] = [text for text in DOCUMENTS if re.match(rf"(query|mutation|subscription) {name}\b", text)]
    return found


def quoted_object(*names: str) -> Any:
    """Return the object that a page quotes in a line, by its fields, in GraphQL's notation or in JSON's."""
    pattern = r"`(\{" + ", ".join(rf'"?{name}"?: [^,}}]+' for name in names) + r"\})`"
    [found] = re.findall(pattern, ALL)
    return value_from_ast_untyped(parse_value(re.sub(r'"(\w+)":', r"\1:", found)))


def charge_point(number: int) -> dict[str, Any]:
    """Return an EVSE in Paris that all examples find, with a spot of its own."""
    more = {"openingTimes": {"twentyfourseven": True}, "parkingSpots": [{"parkingId": f"DE*PRK*P{number}"}]}
    place = PARIS["latitude"], PARIS["longitude"]
    return evse(f"DE*8AC*E{number}", "GARE", *place, f"{CCS}/DE*8AC*T1", kw=150, chargePointType="DC", **more)


EVSES = [charge_point(number) for number in (1, 2)]


def publish(reader: Reader) -> None:
    report = reader.paste("Publish", reader.operator, chargePoints=EVSES)
    assert (report["result"]["code"], report["accepted"] + report["unchanged"], report["refused"]) == ("OK", 2, [])


# ---------------------------------------------------------------- documents


def test_publishes_charge_points_and_spots(reader: Reader) -> None:
    publish(reader)
    again = reader.paste("Publish", reader.operator, chargePoints=EVSES)
    assert (again["accepted"], again["unchanged"]) == (0, 2)
    spots = [{"parkingId": "DE*PRK*P1", "number": "7"}, {"parkingId": "DE*XYZ*P1"}]
    report = reader.paste("PublishSpots", reader.pso, parkingSpots=spots)
    assert report["result"]["code"] == "PARTLY"
    assert [(each["path"], each["code"]) for each in report["refused"]] == [("parkingSpots[1].parkingId", "INVALID_ID")]


def publish_tariffs(reader: Reader) -> dict[str, Any]:
    [variables] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", ALL, re.S) if '"tariffs"' in text]
    return reader.paste("PublishTariffs", reader.operator, **variables)


def test_publishes_tariffs(reader: Reader) -> None:
    report = publish_tariffs(reader)
    assert (report["result"]["code"], report["accepted"] + report["unchanged"], report["refused"]) == ("OK", 1, [])
    assert publish_tariffs(reader)["unchanged"] == 1


def test_activates_a_list_that_comes_in_parts(reader: Reader) -> None:
    publish(reader)
    third = quoted_object("listId", "number", "last")
    assert reader.paste("OnePart", reader.operator, chargePoints=[charge_point(3)], part=third)["accepted"] == 1
    for number in (1, 2):
        part = {**third, "number": number}
        report = reader.paste("OnePart", reader.operator, chargePoints=[charge_point(number)], part=part)
        assert (report["accepted"], report["unchanged"]) == (1, 0), "a part is staged only"
    report = reader.paste("OnePart", reader.operator, chargePoints=[], part={**third, "number": 4, "last": True})
    assert (report["accepted"], report["unchanged"], report["removed"]) == (1, 2, 0)


def test_sends_status_and_follows_it(reader: Reader) -> None:
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
        cursor = cursor_of_status(pages, "DE*8AC*E1", {"major": "NOT_AVAILABLE", "minor": "CHARGING"})
    assert reader.paste("Now", reader.operator, evses=[{**evse_status, "major": "AVAILABLE", "minor": None}])
    back = {"cursor": cursor, "initial": False}
    with events(reader.hub, document("Follow"), variables=back) as response:
        pages = (data["data"]["changes"] for name, data in parsed(response) if name == "next")
        # Available again, but its spot is occupied: the PSO's status is part of the combined one.
        cursor_of_status(pages, "DE*8AC*E1", {"major": "NOT_AVAILABLE", "minor": "BLOCKED"})


def cursor_of_status(pages: Iterator[dict[str, Any]], evse_id: str, status: dict[str, str]) -> str:
    """Read pages until one has a combined status; return its cursor."""
    for page in pages:
        shown = [change["evse"]["combinedStatus"] for change in page["changes"] if change["id"] == evse_id]
        if status in shown:
            return page["cursor"]
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("text", [text for text in DOCUMENTS if re.match("query|{", text)])
def test_answers_every_query(reader: Reader, text: str) -> None:
    publish(reader)
    free = {"major": "AVAILABLE"}
    reader.paste("Now", reader.operator, evses=[{"evseId": each["evseId"], **free} for each in EVSES])
    reader.paste("Now", reader.pso, parkingSpots=[{"parkingId": "DE*PRK*P1", "status": "AVAILABLE"}])
    publish_tariffs(reader)
    answer = reader.hub.ask(text, PARIS if "$latitude" in text else None)
    lists = ("edges", "nodes", "changes")
    assert all(any(found.get(name) for name in lists) for found in answer.values()), answer
    for found in [node for each in answer.values() for node in each.get("nodes", ()) if "connectors" in node]:
        assert found["connectors"][0]["tariff"]["individualTariffs"][0]["currency"] == "EUR"


# ---------------------------------------------------------------- the shell


def pasted(reader: Reader, word: str) -> str:
    """Return the README's one curl command with that word, for the hub of the test."""
    [command] = [command for command in CURLS if word in command]
    return command.replace("http://127.0.0.1:8000", reader.hub.url)


def run(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=PATIENCE_S, text=True).stdout


def test_tries_every_command_of_the_readme() -> None:
    assert [re.findall("evses|subscription|mutation", command)[0] for command in CURLS] == [
        *("evses", "subscription", "mutation")
    ]


@with_curl
@pytest.mark.process
def test_answers_the_first_query(reader: Reader) -> None:
    publish(reader)
    answer = json.loads(run(pasted(reader, "endCursor")))
    [shown] = re.findall(r"```json\n(\{.data.*?)```", README, re.S)
    [node], [example] = (found["data"]["evses"]["nodes"] for found in (answer, json.loads(shown)))
    assert node.keys() == example.keys()
    assert node["evseId"] in ("DE*8AC*E1", "DE*8AC*E2", "DE*8AC*E3")


@with_curl
@pytest.mark.process
def test_delivers_the_first_stream(reader: Reader) -> None:
    publish(reader)
    command = pasted(reader, "subscription").replace("curl -N", "exec curl -sN", 1)
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            pages = (json.loads(line.removeprefix("data: ")) for line in process.stdout if line.startswith("data: {"))
            ids: set[str] = set()
            for page in (each["data"]["changes"] for each in pages):
                ids |= {change["id"] for change in page["changes"]}
                if not page["hasMore"]:
                    break
        finally:
            process.terminate()
    assert {"DE*8AC*E1", "DE*8AC*E2"} <= ids


@with_curl
@pytest.mark.process
def test_accepts_the_first_upload(reader: Reader) -> None:
    command = pasted(reader, "mutation").replace("Bearer ochub_...", reader.operator["Authorization"])
    for expected in ((1, 0), (0, 1)):
        report = json.loads(run(command))["data"]["updateChargePointList"]
        assert report["refused"] == []
        assert (report["accepted"], report["unchanged"]) == expected
    removing = 'mutation { removeChargePoints(evseIds: ["DE*8AC*E1"]) { removed } }'
    assert reader.hub.ask(removing, headers=reader.operator)["removeChargePoints"]["removed"] == 1


@pytest.mark.process
def test_sets_partners_up_on_the_command_line(cluster: Cluster, template: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", ALL, re.S)
    several = [each for each in blocks if "partner add" in each and "contract add" in each]
    [alone] = [each for each in blocks if each.count("\n") == 1 and "--open" in each]
    ochub = str(Path(sys.executable).with_name("ochub"))
    assert len(several) == 2
    for commands in (*several, alone):
        with scratch_database(cluster.dsn, template, f"guides_{uuid4().hex}") as dsn:
            for command in commands.strip().splitlines():
                environment = {**os.environ, "DATABASE_URL": dsn}
                line = command.replace(".venv/bin/ochub", ochub)
                done = subprocess.run(
                    ["sh", "-c", line], env=environment, capture_output=True, timeout=PATIENCE_S, text=True
                )
                assert done.returncode == 0, f"{command}: {done.stderr}"
                assert "contract" in command or "ochub_" in done.stdout, "the key is printed"


# ---------------------------------------------------------------- the database, and the hub as it serves the pages


async def administer(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


def test_expires_cursors_with_the_statement_for_restored_files(reader: Reader) -> None:
    [statement] = re.findall(r"```sql\n(update .*?)```", ALL, re.S)
    following = "query ($cursor: Cursor!) { changes(cursor: $cursor) { cursor } }"
    cursor = reader.hub.ask("{ evses(first: 1) { cursor } }")["evses"]["cursor"]
    assert reader.hub.ask(following, {"cursor": cursor})
    asyncio.run(administer(reader.dsn, statement))
    [error] = reader.hub.post(following, {"cursor": cursor}).json()["errors"]
    assert error["extensions"]["code"] == "CURSOR_EXPIRED"


def test_serves_the_pages_in_production(reader: Reader) -> None:
    answer = reader.hub.client.get("/docs")
    assert answer.status_code == 200
    assert "<h1" in answer.text
    assert reader.hub.client.head("/docs/finding").status_code == 200
