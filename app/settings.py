"""Every setting of the hub in one frozen value: its unit, its default, its meaning.

Each field is read from the environment as `OCHUB_` + its upper-case name (`database_url` also as `DATABASE_URL`);
the commands' flags override it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from app.errors import HubError
from app.setting_checks import Check, between, networks, one_of, origins

#: Absolute, so that commands find the same hub from every working directory.
CHECKOUT = Path(__file__).parents[1]


class BadSetting(HubError):
    """A setting has a value that is not possible."""

    code = "BAD_SETTING"


def _setting(default: Any, meaning: str, check: Check | None = None, *, secret: bool = False) -> Any:
    """Declare a setting. Without a check numbers are not negative."""
    return field(default=default, repr=not secret, metadata={"meaning": meaning, "check": check})


#: Of these none would do no work, or keep nothing.
POSITIVE = between(1)
SOME = between(0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration of a running hub."""

    database_url: str | None = _setting(
        None, "PostgreSQL with PostGIS; without it the hub keeps a private cluster in OCHUB_DATA_DIR", secret=True
    )
    runtime_role: str = _setting(
        "ochub_runtime",
        "database role that reads and writes; it owns nothing, so that row-level security applies to it",
    )
    data_dir: Path = _setting(CHECKOUT / "var", "directory of the private cluster, its logs and import reports")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8000, "TCP port to listen on", between(0, 65_535))
    log_level: str = _setting("info", "debug, info, warning or error", one_of("debug", "info", "warning", "error"))
    log_format: str = _setting(
        "auto", "json, text, or auto: text on a terminal, else json", one_of("json", "text", "auto")
    )
    pool_size: int = _setting(8, "database connections per process and pool; there are several pools", POSITIVE)
    caller_share: float = _setting(
        0.25,
        "share of the connections of a pool that the requests of one caller may hold; at least one connection",
        between(0, 1),
    )
    read_timeout_s: float = _setting(
        5.0, "seconds a request that only reads may take, all its statements together; then it answers TIMEOUT", SOME
    )
    write_timeout_s: float = _setting(30.0, "seconds a writing statement may take", SOME)
    mutation_timeout_s: float = _setting(
        300.0, "seconds a mutation that was read whole may take, whether or not its client is still there", SOME
    )
    key_cache_s: float = _setting(
        1.0, "seconds that a verified key is cached; a key revoked by another process stays valid that much longer"
    )
    max_body_bytes: int = _setting(
        16_000_000, "largest request body in bytes, with the key of an EVSE operator, a PSO or an EVSP", POSITIVE
    )
    max_anonymous_body_bytes: int = _setting(256_000, "largest request body in bytes, from other callers", POSITIVE)
    max_bodies_bytes: int = _setting(
        64_000_000,
        "bytes of request bodies above 64 kB that a process reads or works on at a time; one caller: half",
        POSITIVE,
    )
    body_timeout_s: float = _setting(
        10.0, "seconds in which a request's head, and then its body, must have arrived", SOME
    )
    max_document_characters: int = _setting(50_000, "longest GraphQL document in characters", POSITIVE)
    max_document_tokens: int = _setting(3_000, "most tokens of a document", POSITIVE)
    max_depth: int = _setting(
        25, "most levels of nesting in a document, fragments included; at most 100", between(1, 100)
    )
    max_fields: int = _setting(
        1_000, "most fields of an operation, each fragment counted wherever it is spread", POSITIVE
    )
    max_aliases: int = _setting(200, "most aliases of an operation, counted in the same way")
    max_directives: int = _setting(100, "most directives of an operation, counted in the same way")
    max_root_fields: int = _setting(20, "most root fields of an operation", POSITIVE)
    max_definitions: int = _setting(50, "most operations and fragments of a document", POSITIVE)
    max_cost: int = _setting(100_000, "highest cost of one request, in objects that its answer may hold", POSITIVE)
    max_values: int = _setting(5_000, "most values in the variables of a request, uploaded lists not counted")
    partner_requests_per_s: float = _setting(500.0, "requests per second and key; 0: any number")
    partner_cost_per_s: float = _setting(300_000.0, "cost per second and key; 0: any")
    anonymous_requests_per_s: float = _setting(50.0, "requests per second and address (IPv6: /64); 0: any number")
    anonymous_cost_per_s: float = _setting(30_000.0, "cost per second and address; 0: any")
    database_cost_per_s: float = _setting(
        100_000.0,
        "cost of a second for which a request that only reads holds a connection, charged afterwards instead of the "
        "request's cost where that is less; 0: none",
    )
    budget_burst_s: float = _setting(10.0, "seconds for which unused budget accumulates", POSITIVE)
    max_sockets_per_key: int = _setting(1_000, "most open sockets and event streams per key and process")
    max_sockets_per_address: int = _setting(
        50, "most open sockets and event streams per address (IPv6: /64) and process, from callers without a key"
    )
    max_subscriptions: int = _setting(20_000, "most subscriptions per process")
    max_subscriptions_per_socket: int = _setting(100, "most operations that run on one socket at a time")
    max_subscriptions_per_key: int = _setting(
        5_000, "most subscriptions per key and process; an area of many corners counts as several"
    )
    max_subscriptions_per_address: int = _setting(
        200, "most subscriptions per address and process, from callers without a key"
    )
    max_message_bytes: int = _setting(
        256_000, "largest message on a socket, in bytes; bigger uploads go over HTTP", POSITIVE
    )
    messages_per_s: float = _setting(
        50.0, "messages per second that a socket may send; unused ones accumulate for ten seconds", SOME
    )
    init_timeout_s: float = _setting(10.0, "seconds in which a new socket must have sent connection_init", SOME)
    keepalive_s: float = _setting(
        20.0, "seconds between the pings of a socket, each to be answered within as many", SOME
    )
    send_timeout_s: float = _setting(
        20.0, "seconds that a client may take nothing of what is sent before it is disconnected", SOME
    )
    socket_buffer_bytes: int = _setting(
        256_000, "bytes waiting to be sent on a socket, beyond which its subscriptions send no more pages", POSITIVE
    )
    key_check_s: float = _setting(2.0, "seconds between two checks of the keys of open sockets", SOME)
    gzip_from_bytes: int = _setting(
        2_000,
        "smallest answer in bytes that is compressed for clients that accept gzip; 0: none",
    )
    cors_origins: str = _setting(
        "",
        "origins, comma-separated, whose pages may send requests, e.g. https://maps.example; *: all, empty: none",
        origins,
    )
    trusted_proxies: str = _setting(
        "",
        "addresses or networks of your proxies, comma-separated; only their X-Forwarded-For counts; empty: none",
        networks,
    )
    status_age_s: float = _setting(86_400.0, "seconds from its `at` on that a live status without a ttl is valid", SOME)
    status_ttl_s: float = _setting(
        604_800.0, "seconds from now on that a live status is valid at most; a longer ttl is cut", SOME
    )
    nats_url: str | None = _setting(
        None,
        "NATS server that wakes the readers of the change log, e.g. nats://host:4222; none: the database does",
        secret=True,
    )
    change_days: int = _setting(
        7, "days that the change log is kept; cursors older than that expire; at least 1", POSITIVE
    )
    status_history_days: int = _setting(90, "days that the history of statuses is kept; at least 1", POSITIVE)
    authorisation_request_days: int = _setting(
        90, "days that requests about tokens are kept, and that a repeated request is recognised; at least 1", POSITIVE
    )
    removed_token_days: int = _setting(
        30, "days after which a removed token is deleted; at least one more than cursors live", POSITIVE
    )
    session_expiry_h: float = _setting(
        48.0, "hours after its authorisation at which a session that its operator never ended is ended as EXPIRED", SOME
    )
    refusals_kept: int = _setting(1_000, "refusals of uploads kept per partner", POSITIVE)

    @property
    def cursor_days(self) -> int:
        """How long cursors live."""
        return max(1, self.change_days)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **flags: Any) -> "Settings":
        """Return the settings; a flag that is not None wins over the environment.

        Raises: BadSetting, naming the variable and what was expected.
        """
        values: dict[str, Any] = {}
        for f in fields(cls):
            variable = variable_of(f.name)
            if flags.get(f.name) is not None:
                values[f.name] = _checked(f, f"--{f.name.replace('_', '-')}", flags[f.name])
            elif environment.get(variable):
                values[f.name] = _checked(f, variable, environment[variable])
        return cls(**values)


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return "DATABASE_URL" if name == "database_url" else f"OCHUB_{name.upper()}"


#: Variables of commands, beside those of settings.
OTHER_VARIABLES: Final = ("OCHUB_WORKERS", "OCHUB_SETUP_SERVERS")


def unknown_variables(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield a sentence for each `OCHUB_` variable that means nothing: it is misspelt, or of another version."""
    known = [*map(variable_of, (f.name for f in fields(Settings))), *OTHER_VARIABLES]
    for name in sorted(environment):
        if name.startswith("OCHUB_") and name not in known:
            near = get_close_matches(name, known, 1, 0.8)
            yield f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")


def _checked(setting: "Field[Any]", name: str, value: Any) -> Any:
    """Return a value as it is used. Raises: BadSetting with name, value and what is possible."""
    kind = KINDS.get(setting.type, str)
    check = setting.metadata["check"] or (between(0) if kind in (int, float) else None)
    try:
        parsed = kind(value)
    except ValueError:
        raise BadSetting(f"{name} is {value!r}; possible: {IN_WORDS[kind]}") from None
    try:
        return parsed if check is None else check(parsed)
    except ValueError as error:
        raise BadSetting(f"{name} is {str(value)!r}; possible: {error}") from None


KINDS: Final[Mapping[Any, Callable[[Any], Any]]] = {int: int, float: float, Path: Path}
IN_WORDS: Final[Mapping[Any, str]] = {int: "a whole number", float: "a number"}
