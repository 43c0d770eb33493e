"""The page on charging runs as pasted, from the first command to the last, with the answers that it shows."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.guides.pages import ROOT
from app.vocabulary import Role
from tests.exchange.world import add_evse, enrol, utc_now
from tests.guides.test_examples import PATIENCE_S, curl, document, with_curl
from tests.hub import Hub, scratch_database, serve
from tests.wire.talk import events, parsed

PAGE = (ROOT / "app/guides/charging.md").read_text("utf-8")
#: Commands and the answers shown after them, in the order of the page.
STEPS = re.findall(r"```(sh|json)\n(.*?)```", PAGE, re.S)
COMMANDS = [text for language, text in STEPS if language == "sh" and text.startswith("curl ")]
__all__ = ["curl"]


@dataclass(frozen=True)
class Reader:
    """A reader of the page: a hub, and the keys of an EVSP and of an operator with a contract."""

    hub: Hub
    evsp: str
    operator: str

    def paste(self, command: str, **variables: str) -> Any:
        """Run a command in a shell; return its last answer."""
        known = {"HUB": f"{self.hub.url}/graphql", "EVSP": self.evsp, "OPERATOR": self.operator, **variables}
        environment = {**os.environ, **known}
        done = subprocess.run(
            ["sh", "-ec", command], env=environment, capture_output=True, check=True, timeout=PATIENCE_S, text=True
        )
        *_, answer = json_texts(done.stdout)
        assert "errors" not in answer, answer
        return answer


@pytest.fixture
def reader(cluster: Cluster, template: str) -> Iterator[Reader]:
    with scratch_database(cluster.dsn, template, f"guides_{uuid4().hex}") as dsn, serve(dsn) as hub:

        async def partners() -> list[str]:
            [evsp] = await enrol(hub.database, "Example Mobility", (Role.EVSP, "DE8AA"))
            [operator] = await enrol(hub.database, "Example Charging", (Role.EVSE_OPERATOR, "DE8AC"))
            # The page's commands send whole seconds.
            since = utc_now() - timedelta(minutes=1)
            await set_contract(hub.database, CONSOLE, evsp.party, operator.party, utc_now(), since)
            await add_evse(hub.database, "DE8AC", 1)
            return [f"Authorization: Bearer {member.key.secret}" for member in (evsp, operator)]

        yield Reader(hub, *hub.run(partners()))


def json_texts(text: str) -> Iterator[Any]:
    """Yield the JSON values that follow each other in a text."""
    while text.strip():
        value, end = json.JSONDecoder().raw_decode(text.strip())
        yield value
        text = text.strip()[end:]


def without_what_differs(answer: Any, shown: Any) -> Any:
    """Return an answer with `...` where the page shows that."""
    match answer, shown:
        case str(), "...":
            return shown
        case dict(), dict():
            return {key: without_what_differs(value, shown.get(key)) for key, value in answer.items()}
        case list(), list() if len(answer) == len(shown):
            return [without_what_differs(*pair) for pair in zip(answer, shown, strict=True)]
        case _:
            return answer


def let_the_second_pass() -> None:
    """Wait until instants in whole seconds lie behind what was done before: sessions are listed by them."""
    began = int(time.time())
    while int(time.time()) == began:
        time.sleep(0.01)


@with_curl
@pytest.mark.process
def test_answers_every_command_as_the_page_shows(reader: Reader) -> None:
    answer, session, compared = None, "", 0
    for language, text in STEPS:
        if language == "json":
            assert without_what_differs(answer, json.loads(text)) == json.loads(text)
            compared += 1
        elif text.startswith("curl "):
            if "startSession" in text:
                let_the_second_pass()
            answer = reader.paste(text, SESSION=session)
            if "1001" in text:
                session = answer["data"]["requestSingleRoamingAuthorisation"]["session"]["id"]
    assert compared == len(COMMANDS) == 10


@with_curl
@pytest.mark.process
def test_repeats_a_request_without_a_second_session(reader: Reader) -> None:
    listed, *_ = COMMANDS
    [asking] = [each for each in COMMANDS if "1001" in each]
    reader.paste(listed)
    assert reader.paste(asking) == reader.paste(asking)


@pytest.mark.process
def test_delivers_what_the_page_follows(reader: Reader) -> None:
    listed, *_ = COMMANDS
    [asking] = [each for each in COMMANDS if "1002" in each]
    reader.paste(listed)
    operator, evsp = ({"Authorization": key.partition(": ")[2]} for key in (reader.operator, reader.evsp))
    with (
        events(reader.hub, document("FollowTokens"), operator) as tokens,
        events(reader.hub, document("FollowRequests"), evsp) as requests,
    ):
        [change] = first_of(tokens, "changes")
        assert (change["action"], change["token"]["instance"]) == ("UPSERTED", "04A1B2C3")
        reader.paste(asking.replace("1002", "another"))
        [request] = first_of(requests, "requests")
        assert (request["operatorId"], request["code"]) == ("DE8AC", "INVALID_ID")


def first_of(response: Any, items: str) -> Any:
    """Return what the first page that is not empty holds."""
    pages = (next(iter(data["data"].values())) for name, data in parsed(response) if name == "next")
    return next(page[items] for page in pages if page[items])
