"""The page on billing runs as pasted, from upload to approval, with the answers that it shows."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from app.exchange.actor import CONSOLE
from app.exchange.contracts import set_contract
from app.guides.pages import ROOT
from app.vocabulary import Role
from tests.exchange.cdrs.world import give_token
from tests.exchange.world import add_evse, enrol, utc_now
from tests.guides.test_examples import PATIENCE_S, curl, with_curl
from tests.hub import scratch_database, serve

PAGE = (ROOT / "app/guides/billing.md").read_text("utf-8")
#: Each request with the answer that is shown after it.
STEPS = re.findall(r"```sh\n(curl .*?)```\n\n```json\n(.*?)```", PAGE, re.S)
__all__ = ["curl"]


@with_curl
@pytest.mark.process
def test_leads_from_upload_to_approval(cluster: Cluster, template: str) -> None:
    assert len(STEPS) == PAGE.count("curl -s") == 9
    with scratch_database(cluster.dsn, template, f"guides_{uuid4().hex}") as dsn, serve(dsn) as hub:

        async def partners() -> dict[str, str]:
            [evsp] = await enrol(hub.database, "Example Mobility", (Role.EVSP, "DE8AA"))
            [operator] = await enrol(hub.database, "Example Charging", (Role.EVSE_OPERATOR, "DE8AC"))
            since = datetime(2026, 1, 1, tzinfo=UTC)
            await set_contract(hub.database, CONSOLE, evsp.party, operator.party, utc_now(), since)
            await give_token(hub.database, evsp, "04A1B2C3", "DE8AAC00000001")
            await add_evse(hub.database, "DE8AC", 1)
            members = {"EVSP": evsp, "OPERATOR": operator}
            return {name: f"Authorization: Bearer {member.key.secret}" for name, member in members.items()}

        known = {"HUB": f"{hub.url}/graphql", **hub.run(partners())}
        for command, shown in STEPS:
            assert pasted(command, known) == json.loads(shown)


def pasted(command: str, known: dict[str, str]) -> Any:
    """Run a command in a shell; return its answer without `extensions`."""
    done = subprocess.run(
        ["sh", "-ec", command],
        env={**os.environ, **known},
        capture_output=True,
        check=True,
        timeout=PATIENCE_S,
        text=True,
    )
    answer = json.loads(done.stdout)
    answer.pop("extensions", None)
    return answer
