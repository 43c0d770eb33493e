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

#: Commands find the same hub whatever directory they are called from.
CHECKOUT = Path(__file__).parents[1]


class BadSetting(HubError):
    """A setting has a value that cannot be used."""

    code = "BAD_SETTING"


def _setting(default: Any, meaning: str, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a running hub is told from outside."""

    database_url: str | None = _setting(
        None, "PostgreSQL with PostGIS to use; without it the hub keeps a private cluster in data_dir", secret=True
    )
    runtime_role: str = _setting(
        "ochub_runtime", "database role the hub reads and writes as; owns nothing, so row-level security binds it"
    )
    data_dir: Path = _setting(CHECKOUT / "var", "directory of the private cluster, its logs and import reports")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8000, "TCP port to listen on")
    log_level: str = _setting("info", "debug, info, warning or error")
    log_format: str = _setting("auto", "json, text, or auto: text on a terminal, else json")
    pool_size: int = _setting(8, "database connections per process and pool (reads, writes)")
    read_timeout_s: float = _setting(5.0, "seconds a reading statement may take")
    write_timeout_s: float = _setting(30.0, "seconds a writing statement may take")
    key_cache_s: float = _setting(1.0, "seconds a verified key is trusted before it is looked up again")
    max_body_bytes: int = _setting(16_000_000, "largest request body in bytes")
    refusals_kept: int = _setting(1_000, "refusals of uploads kept per partner")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **flags: Any) -> "Settings":
        """Read the settings; a flag that is not None wins over the environment.

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
    """Give the environment variable of a setting."""
    return "DATABASE_URL" if name == "database_url" else f"OCHUB_{name.upper()}"


def _parse(variable: str, text: str, type_: Any) -> Any:
    kind = {int: int, float: float, Path: Path}.get(type_, str)
    try:
        return kind(text)
    except ValueError:
        raise BadSetting(f"{variable} is {text!r}; expected {kind.__name__}") from None
