"""Every module is in a layer, so that its imports are checked."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
#: These may know GraphQL and the server.
ABOVE = {"schema", "app.main", "app.cli", "app.tiles", "app.page", "app.gateways", "app.guides"}


def layered() -> set[str]:
    """Return the modules that the contract of layers names."""
    [contract] = [each for each in CONTRACTS if each["type"] == "layers"]
    return {name.strip(" ()") for layer in contract["layers"] for name in re.split("[|:]", layer)}


def modules() -> Iterable[str]:
    """Return all modules of the packages that import-linter looks at."""
    for package in ("app", "schema", "geo"):
        for path in (ROOT / package).rglob("*.py"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def outside(names: Iterable[str], rooms: set[str]) -> set[str]:
    """Return the modules that are in none of the rooms."""
    return {name for name in names if not any(name == room or name.startswith(f"{room}.") for room in rooms)}


def test_has_every_module_in_a_layer() -> None:
    assert outside(modules(), layered()) == {"app"}, "add it to the layers in pyproject.toml; `app` itself is empty"
    assert (ROOT / "app/__init__.py").read_text() == ""


def test_would_find_a_module_in_no_layer() -> None:
    assert outside(["app.readings", "app.new_room.module", "app.read.plan"], layered()) == {
        "app.readings",
        "app.new_room.module",
    }


def test_keeps_graphql_and_the_server_from_every_layer_below() -> None:
    below = layered() - ABOVE
    assert sources("strawberry") == below
    assert sources("starlette") == below - {"app.http"}


def sources(forbidden: str) -> set[str]:
    """Return the modules that may not import a library."""
    [contract] = [each for each in CONTRACTS if forbidden in each.get("forbidden_modules", ())]
    return set(contract["source_modules"])
