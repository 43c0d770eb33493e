"""Log lines: one pipeline for everybody, and never a secret in it."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from app.auth import new_secret
from app.logs import configure_logs, log_requests, masked
from app.settings import Settings

SECRET = new_secret()
PASSWORD = "s3cret/w@rd"
DSN = f"postgresql://ochub:{PASSWORD}@db.example:5432/ochub?sslmode=require"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], _ = before
    root.setLevel(before[1])


@pytest.fixture(params=["json", "text"])
def lines(request: pytest.FixtureRequest) -> io.StringIO:
    """What is logged, in either format."""
    stream = io.StringIO()
    configure_logs(Settings(log_format=request.param, log_level="debug"), stream)
    return stream


def _in_a_url() -> None:
    structlog.get_logger().info(
        "asked", url=f"http://hub.example/graphql/{SECRET}?key={SECRET}&again=ochub%5F{SECRET[6:]}"
    )


def _in_headers() -> None:
    structlog.get_logger().info("asked", headers={"Authorization": f"Bearer {SECRET}"})


def _in_raw_headers() -> None:
    structlog.get_logger().info("asked", headers=[(b"authorization", f"Bearer {SECRET}".encode())])


def _as_a_named_value() -> None:
    structlog.get_logger().info("asked", secret=SECRET[6:], authorization=f"Token {SECRET[6:]}")


def _in_an_exception() -> None:
    try:
        raise ValueError(f"cannot read {SECRET}")
    except ValueError:
        structlog.get_logger().exception("failed")


def _in_a_library() -> None:
    logging.getLogger("uvicorn.error").error("cannot serve %s", SECRET)


def _in_the_exception_of_a_library() -> None:
    try:
        raise ValueError(f"cannot read {SECRET}")
    except ValueError:
        logging.getLogger("asyncio").exception("failed")


def _in_the_extras_of_a_library() -> None:
    logging.getLogger("uvicorn.error").error("failed", extra={"header": f"Bearer {SECRET}"})


def _bound_to_the_request() -> None:
    structlog.contextvars.bind_contextvars(caller=SECRET)
    structlog.get_logger().info("asked")


def _in_a_nested_value() -> None:
    structlog.get_logger().info("asked", request={"variables": [{"secret": SECRET}, SECRET.encode()]})


def _cut_short() -> None:
    structlog.get_logger().info("asked", text=f"mistyped {SECRET[:-4]} here")


WAYS = [
    _in_a_url,
    _in_headers,
    _in_raw_headers,
    _as_a_named_value,
    _in_an_exception,
    _in_a_library,
    _in_the_exception_of_a_library,
    _in_the_extras_of_a_library,
    _bound_to_the_request,
    _in_a_nested_value,
    _cut_short,
]


@pytest.mark.parametrize("log", WAYS)
def test_never_shows_a_key(lines: io.StringIO, log: Callable[[], None]) -> None:
    log()
    assert "***" in lines.getvalue()
    assert SECRET[6:26] not in lines.getvalue()


@pytest.mark.parametrize("log", WAYS)
def test_would_show_a_key_if_nothing_masked_it(
    lines: io.StringIO, log: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken twin: every way above does carry the secret as far as the last step."""
    monkeypatch.setattr("app.logs.SECRETS", ())
    monkeypatch.setattr("app.logs.SECRET_NAMES", frozenset())
    log()
    assert SECRET[6:26] in lines.getvalue()


@pytest.mark.parametrize("text", [DSN, f"could not connect to {DSN}: refused", f"{{'dsn': '{DSN}'}}", f"a\n{DSN}\nb"])
def test_never_shows_the_password_of_a_database_url(lines: io.StringIO, text: str) -> None:
    structlog.get_logger().info("connecting", text=text)
    assert "s3cret" not in lines.getvalue()
    assert "w@rd" not in lines.getvalue()
    assert "db.example:5432/ochub" in lines.getvalue()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("host=db password=s3cret user=ochub", "host=db password=*** user=ochub"),
        ("postgresql:///ochub?host=db&password=s3cret&port=1", "postgresql:///ochub?host=db&password=***&port=1"),
        ("https://me:s3cret@example.org/a", "https://me:***@example.org/a"),
        ('{"password": "s3cret", "a": 1}', '{"password": "***", "a": 1}'),
        ("Authorization: Basic bWU6czNjcmV0", "Authorization: ***"),
        (
            r'"CheckViolationError: no\nDETAIL:  Failing row contains (04A1B2, x).\nat"',
            r'"CheckViolationError: no\nDETAIL:  ***\nat"',
        ),
        ("invalid input for query argument $3: '04A1B2' (a reason)", "invalid input for query argument $3: ***"),
    ],
)
def test_masks_credentials_of_other_kinds(text: str, left: str) -> None:
    assert masked(text) == left


@pytest.mark.parametrize(
    "text",
    [
        'role "ochub_runtime" does not exist',
        "the Authorization header holds no key of this hub",
        "http://127.0.0.1:8000/graphql?at=a@b",
        "postgresql://ochub@/ochub?host=/tmp/ochub-0123456789abcdef&port=5432",
        "key ochub_1a2B3c... (a05f61f2-58ab-4e0f-9b1a-0c6d2e4f8a90)",
        "FR*A23*E45B*78C",
    ],
)
def test_leaves_alone_what_is_no_secret(text: str) -> None:
    assert masked(text) == text


def test_writes_one_json_object_per_line() -> None:
    stream = io.StringIO()
    configure_logs(Settings(log_format="json"), stream)
    structlog.get_logger().info("serving", url="http://127.0.0.1:8000", big=2**70, torn="\ud800", at={1: b"x"})
    logging.getLogger("asyncpg").warning("line\nbreak %s", "é")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["message"], first["level"], first["url"]) == ("serving", "info", "http://127.0.0.1:8000")
    assert (second["message"], second["level"], second["logger"]) == ("line\nbreak é", "warning", "asyncpg")
    assert first["timestamp"].endswith("Z")


def test_leaves_out_what_is_below_the_level() -> None:
    stream = io.StringIO()
    configure_logs(Settings(log_format="json", log_level="warning"), stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("asyncpg").info("quiet")
    structlog.get_logger().warning("loud")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["loud"]


async def _request(status: int, headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Send one request through `log_requests` to an application that answers with `status`."""
    sent: list[Any] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        structlog.get_logger().info("inside")
        await send({"type": "http.response.start", "status": status, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": f"/{SECRET}", "query_string": b"secret=1", "headers": headers}
    await log_requests(application)(scope, receive, send)
    return dict(sent[0]["headers"])


async def test_gives_every_request_an_id_that_its_lines_and_its_answer_bear() -> None:
    stream = io.StringIO()
    configure_logs(Settings(log_format="json"), stream)
    one, other = await _request(500, []), await _request(404, [])
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert one[b"x"] == b"y"
    assert one[b"x-request-id"] != other[b"x-request-id"]
    ids = [headers[b"x-request-id"].decode() for headers in (one, one, other, other)]
    assert [line["request_id"] for line in lines] == ids
    assert [line["level"] for line in lines] == ["info", "error", "info", "warning"]
    assert lines[1]["path"] == "/ochub_***"


@pytest.mark.parametrize(
    ("sent", "taken"), [(b"7f-3.A_b", True), (b"", False), (b"a" * 65, False), (b"a b", False), (b'a"\n', False)]
)
async def test_takes_over_a_request_id_that_is_harmless(sent: bytes, taken: bool) -> None:
    configure_logs(Settings(log_format="json"), io.StringIO())
    assert ((await _request(200, [(b"x-request-id", sent)]))[b"x-request-id"] == sent) is taken


async def test_tells_successful_requests_at_level_debug_only() -> None:
    stream = io.StringIO()
    configure_logs(Settings(log_format="json"), stream)
    await _request(200, [])
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["inside"]
    configure_logs(Settings(log_format="json", log_level="debug"), stream)
    await _request(200, [])
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert (last["message"], last["status"], last["level"]) == ("request", 200, "debug")
    assert "query_string" not in last
