"""Whatever a client says, the hub answers as the protocol has it, or closes with the code that it has for it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hub import Hub
from tests.length import rounds
from tests.wire.talk import Talk, talk
from tests.world import World

ENDLESS = st.sampled_from(["w1", "w2", "w3"])
SHORT = st.sampled_from(
    [
        "subscription { count(to: 2) }",
        "{ __typename }",
        "{ nothing }",
        "{",
        "subscription { fails }",
        'subscription { count(to: "x") }',
        "mutation { removeChargePoints(evseIds: []) { accepted } }",
    ]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TYPES = ("connection_init", "ping", "pong", "subscribe", "complete", "next", "error", "connection_ack")


@dataclass(frozen=True)
class Said:
    """What a client says, and what the hub makes of it. `code`: how it closes then, whatever came before."""

    what: str | bytes
    kind: str
    id: str = ""
    code: int | None = None


def said(kind: str, code: int | None = None, id_: str = "", **members: Any) -> Said:
    return Said(json.dumps({"type": kind, **({"id": id_} if id_ else {}), **members}), kind, id_, code)


def _subscribe(id_: str, query: str) -> Said:
    return said("subscribe", None, id_, payload={"query": query})


def is_malformed(message: Any) -> bool:
    """Return whether a message is not one of the protocol's, by rules written by hand."""
    if not isinstance(message, dict):
        return True
    payload, id_ = message.get("payload"), message.get("id")
    match message.get("type"):
        case "connection_init" | "ping" | "pong":
            return payload is not None and not isinstance(payload, dict)
        case "complete":
            return not (isinstance(id_, str) and 0 < len(id_) <= 100)
        case _:
            return True


MESSAGES: st.SearchStrategy[Said] = st.one_of(
    st.just(said("connection_init")),
    st.just(said("connection_init", payload={"any": "thing"})),
    st.just(said("connection_init", 4403, payload={"Authorization": "Bearer nonsense"})),
    st.just(said("ping")),
    st.just(said("pong", payload={})),
    st.builds(_subscribe, ENDLESS, st.just("subscription { waits }")),
    st.builds(_subscribe, st.uuids().map(str), SHORT),
    st.builds(lambda id_: said("complete", id_=id_), ENDLESS | st.text(min_size=1, max_size=100)),
    st.binary(max_size=20).map(lambda junk: Said(junk, "junk", code=4400)),
    JUNK.filter(is_malformed).map(lambda junk: Said(json.dumps(junk), "junk", code=4400)),
    st.builds(
        lambda kind, id_, payload: {"type": kind, "id": id_, "payload": payload}, st.sampled_from(TYPES), JUNK, JUNK
    )
    .filter(is_malformed)
    .filter(lambda message: message["type"] != "subscribe" or not isinstance(message["payload"], dict))
    .map(lambda junk: Said(json.dumps(junk), "junk", code=4400)),
    st.text(max_size=30).map(lambda text: Said(f"x{text}", "junk", code=4400)),
)


@dataclass
class Model:
    """What the protocol says must come of it."""

    initialised: bool = False
    running: set[str] = field(default_factory=set)
    short: list[str] = field(default_factory=list)
    pings: int = 0

    def hear(self, message: Said) -> int | None:
        """Return the close code, where the socket must be closed."""
        match message.kind:
            case "connection_init":
                if self.initialised:
                    return 4429
                self.initialised = True
            case "ping":
                self.pings += 1
            case "subscribe":
                return self._begin(message.id)
            case "complete":
                self.running.discard(message.id)
            case _:
                pass
        return message.code

    def _begin(self, id_: str) -> int | None:
        if not self.initialised:
            return 4401
        if id_ in self.running:
            return 4409
        if id_.startswith("w"):
            self.running.add(id_)
        else:
            self.short.append(id_)
        return None


def say(client: Talk, messages: list[Said]) -> tuple[Model, int | None]:
    model = Model()
    for message in messages:
        code = model.hear(message)
        client.socket.send(message.what)
        if code is not None:
            return model, code
    return model, None


@pytest.fixture
def silent(capfd: pytest.CaptureFixture[str]) -> Callable[[], bool]:
    def is_silent() -> bool:
        told = "".join(capfd.readouterr())
        return "Traceback" not in told and "unforeseen" not in told and "Exception" not in told

    return is_silent


@settings(
    max_examples=rounds(40, full=150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(messages=st.lists(MESSAGES, max_size=15), opens=st.booleans())
def test_answers_or_closes_as_the_protocol_has_it(
    counting: Hub, silent: Callable[[], bool], messages: list[Said], opens: bool
) -> None:
    if opens:
        messages = [said("connection_init"), *messages]
    with talk(counting) as client:
        model, code = say(client, messages)
        if code is not None:
            assert client.end()[0] == code
        else:
            heard = until_all_is_answered(client, model)
            assert [message["type"] for message in heard].count("connection_ack") == model.initialised
            assert_ordered(heard, model)
    assert silent()


def until_all_is_answered(client: Talk, model: Model) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []
    client.send("ping")
    ended, pongs = 0, 0
    while ended < len(model.short) or pongs < model.pings + 1:
        heard.append(client.hear())
        ended += heard[-1]["type"] in ("complete", "error")
        pongs += heard[-1]["type"] == "pong"
    return heard


def assert_ordered(heard: list[dict[str, Any]], model: Model) -> None:
    kinds = [message["type"] for message in heard if message["type"] != "pong"]
    assert not model.initialised or kinds[0] == "connection_ack"
    for id_ in model.short:
        own = [message["type"] for message in heard if message.get("id") == id_]
        assert own[-1] in ("complete", "error")
        assert set(own[:-1]) <= {"next"}
    assert {message["id"] for message in heard if "id" in message} == set(model.short)


def test_would_notice_a_traceback(counting: Hub, silent: Callable[[], bool], world: World) -> None:
    with talk(counting) as client:
        client.init()
        client.subscribe("1", "subscription { breaks }")
        client.hear_of("1")
    assert not silent()
