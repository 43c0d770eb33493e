"""Every setting of the hub in one frozen value: its unit, its default, its meaning.

Each field is read from the environment as `OCHUB_` + its upper-case name (`database_url` also as `DATABASE_URL`);
the commands' flags override it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from app.errors import HubError

#: Absolute, so that commands find the same hub from every working directory.
CHECKOUT = Path(__file__).parents[1]


class BadSetting(HubError):
    """A setting has a value that is not possible."""

    code = "BAD_SETTING"


def _setting(default: Any, meaning: str, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"meaning": meaning})


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
    port: int = _setting(8000, "TCP port to listen on")
    log_level: str = _setting("info", "debug, info, warning or error")
    log_format: str = _setting("auto", "json, text, or auto: text on a terminal, else json")
    pool_size: int = _setting(8, "database connections per process and pool; there are several pools")
    read_timeout_s: float = _setting(5.0, "seconds a reading statement may take")
    write_timeout_s: float = _setting(30.0, "seconds a writing statement may take")
    key_cache_s: float = _setting(
        1.0, "seconds that a verified key is cached; a key revoked by another process stays valid that much longer"
    )
    max_body_bytes: int = _setting(16_000_000, "largest request body in bytes, from a caller with a key")
    max_anonymous_body_bytes: int = _setting(256_000, "largest request body in bytes, from a caller without a key")
    body_timeout_s: float = _setting(10.0, "seconds in which a request's head, and then its body, must have arrived")
    max_document_characters: int = _setting(50_000, "longest GraphQL document in characters")
    max_document_tokens: int = _setting(3_000, "most tokens of a document")
    max_depth: int = _setting(25, "most levels of nesting in a document, fragments included; at most 100")
    max_fields: int = _setting(1_000, "most fields of an operation, each fragment counted wherever it is spread")
    max_aliases: int = _setting(200, "most aliases of an operation, counted in the same way")
    max_directives: int = _setting(100, "most directives of an operation, counted in the same way")
    max_root_fields: int = _setting(20, "most root fields of an operation")
    max_definitions: int = _setting(50, "most operations and fragments of a document")
    max_cost: int = _setting(100_000, "highest cost of one request, in objects that its answer may hold")
    max_values: int = _setting(5_000, "most values in the variables of a request, uploaded lists not counted")
    partner_requests_per_s: float = _setting(500.0, "requests per second and key; 0: any number")
    partner_cost_per_s: float = _setting(300_000.0, "cost per second and key; 0: any")
    anonymous_requests_per_s: float = _setting(50.0, "requests per second and address (IPv6: /64); 0: any number")
    anonymous_cost_per_s: float = _setting(30_000.0, "cost per second and address; 0: any")
    budget_burst_s: float = _setting(10.0, "seconds for which unused budget accumulates")
    max_sockets_per_key: int = _setting(1_000, "most open sockets and event streams per key and process")
    max_sockets_per_address: int = _setting(
        50, "most open sockets and event streams per address (IPv6: /64) and process, from callers without a key"
    )
    max_subscriptions: int = _setting(20_000, "most subscriptions per process")
    max_subscriptions_per_socket: int = _setting(100, "most operations that run on one socket at a time")
    max_subscriptions_per_key: int = _setting(5_000, "most subscriptions per key and process")
    max_subscriptions_per_address: int = _setting(
        200, "most subscriptions per address and process, from callers without a key"
    )
    max_message_bytes: int = _setting(256_000, "largest message on a socket, in bytes; bigger uploads go over HTTP")
    messages_per_s: float = _setting(
        50.0, "messages per second that a socket may send; unused ones accumulate for ten seconds"
    )
    init_timeout_s: float = _setting(10.0, "seconds in which a new socket must have sent connection_init")
    keepalive_s: float = _setting(20.0, "seconds between the pings of a socket, each to be answered within as many")
    send_timeout_s: float = _setting(
        20.0, "seconds that a client may take nothing of what is sent before it is disconnected"
    )
    socket_buffer_bytes: int = _setting(
        256_000, "bytes waiting to be sent on a socket, beyond which its subscriptions send no more pages"
    )
    key_check_s: float = _setting(2.0, "seconds between two checks of the keys of open sockets")
    gzip_from_bytes: int = _setting(
        2_000,
        "smallest answer in bytes that is compressed for clients that accept gzip; 0: none",
    )
    cors_origins: str = _setting(
        "", "origins, comma-separated, whose pages may send requests, e.g. https://maps.example; *: all, empty: none"
    )
    trusted_proxies: str = _setting(
        "", "addresses or networks of your proxies, comma-separated; only their X-Forwarded-For counts; empty: none"
    )
    status_age_s: float = _setting(86_400.0, "seconds from its `at` on that a live status without a ttl is valid")
    status_ttl_s: float = _setting(
        604_800.0, "seconds from now on that a live status is valid at most; a longer ttl is cut"
    )
    nats_url: str | None = _setting(
        None,
        "NATS server that wakes the readers of the change log, e.g. nats://host:4222; none: the database does",
        secret=True,
    )
    change_days: int = _setting(7, "days that the change log is kept; cursors older than that expire; at least 1")
    status_history_days: int = _setting(90, "days that the history of statuses is kept; at least 1")
    authorisation_request_days: int = _setting(
        90,
        "days that requests about tokens are kept, and that a repeated request is recognised; at least 1",
    )
    removed_token_days: int = _setting(
        30, "days after which a removed token is deleted; at least one more than cursors live"
    )
    session_expiry_h: float = _setting(
        48.0, "hours after its authorisation at which a session that its operator never ended is ended as EXPIRED"
    )
    refusals_kept: int = _setting(1_000, "refusals of uploads kept per partner")

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
                values[f.name] = flags[f.name]
            elif environment.get(variable):
                values[f.name] = _parse(variable, environment[variable], f.type)
        return cls(**values)


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return "DATABASE_URL" if name == "database_url" else f"OCHUB_{name.upper()}"


def _parse(variable: str, text: str, type_: Any) -> Any:
    kind = {int: int, float: float, Path: Path}.get(type_, str)
    try:
        return kind(text)
    except ValueError:
        raise BadSetting(f"{variable} is {text!r}; expected {kind.__name__}") from None
