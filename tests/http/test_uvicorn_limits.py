"""What the hub overrides in uvicorn is what the installed version has: a test for upgrades."""

import ast
import importlib.metadata
import inspect
import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from app.http.uvicorn_limits import BoundedHttp, BoundedSocket, Server, server_config
from app.settings import Settings

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
OVERRIDDEN = [
    (BoundedHttp, HttpToolsProtocol),
    (BoundedSocket, WebSocketsSansIOProtocol),
    (Server, uvicorn.Server),
]
#: Attributes of uvicorn's own that the subclasses use, besides methods that they override.
USED: dict[type, set[str]] = {
    BoundedHttp: {"cycle", "headers", "loop", "pipeline", "scope", "transport", "url"},
    BoundedSocket: {"disconnected", "loop", "transport"},
}


class Other:
    """A version of uvicorn with other methods: the broken twin."""

    def on_body(self, body: bytes, more: bool) -> None: ...


def overridden_otherwise(ours: type, theirs: type) -> set[str]:
    """Return the methods that extend one of uvicorn's, which it lacks or declares with other parameters."""
    return {
        name
        for name, method in vars(ours).items()
        if inspect.isfunction(method)
        and name != "__init__"
        and "super()." in inspect.getsource(method)
        and _parameters(method) != _parameters(getattr(theirs, name, None))
    }


def _parameters(method: Any) -> list[str] | None:
    return None if method is None else list(inspect.signature(method).parameters)


def own_attributes(class_: type) -> set[str]:
    """Return the attributes of `self` that a class uses and does not define itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(class_)))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}
    return {name for name in names if name not in vars(class_) and not name.startswith("_")}


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def test_is_pinned_to_its_minor_version() -> None:
    [pin] = [each for each in PROJECT["dependencies"] if each.startswith("uvicorn")]
    least, below = re.findall(r"[\d.]+", pin)
    major, minor = map(int, least.split("."))
    assert below == f"{major}.{minor + 1}"
    assert importlib.metadata.version("uvicorn").startswith(f"{least}.")


@pytest.mark.parametrize(("ours", "theirs"), OVERRIDDEN)
def test_overrides_methods_as_uvicorn_declares_them(ours: type, theirs: type) -> None:
    assert overridden_otherwise(ours, theirs) == set()


def test_would_notice_another_signature() -> None:
    class Ours(Other):
        def on_body(self, body: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            super().on_body(body, True)

        def on_gone(self) -> None:
            super().on_gone()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    assert overridden_otherwise(Ours, Other) == {"on_body", "on_gone"}


@pytest.mark.parametrize("ours", USED)
async def test_uses_attributes_that_uvicorn_has(ours: type) -> None:
    config = server_config(lambda: None, Settings(), log_level="error")
    config.load()
    timeouts = (1.0, 1.0) if ours is BoundedHttp else (1.0,)
    connection = ours(*timeouts, config=config, server_state=ServerState(), app_state={})
    if isinstance(connection, BoundedHttp):
        connection.on_message_begin()
    assert own_attributes(ours) == USED[ours]
    assert {name for name in USED[ours] if not hasattr(connection, name)} == set()


def test_finds_what_it_knows_of_a_request_under_way() -> None:
    source = inspect.getsource(RequestResponseCycle.__init__)
    assert "self.response_complete" in source
    assert "self.keep_alive" in source


def test_makes_every_connection_bounded() -> None:
    config = server_config(lambda: None, Settings())
    config.load()
    assert config.http_protocol_class.func is BoundedHttp  # pyright: ignore[reportAttributeAccessIssue]
    assert config.ws_protocol_class.func is BoundedSocket  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
