"""What values settings can have. A check returns the value as it is used, or says what is possible (ValueError)."""

import math
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any], Any]

#: Ports that browsers leave out of an origin.
DEFAULT_PORTS = {"http": 80, "https": 443}


def listed(text: str) -> list[str]:
    """Split a comma-separated setting."""
    return [part.strip() for part in text.split(",") if part.strip()]


def between(least: float, most: float = math.inf) -> Check:
    """Accept numbers from `least` to `most`, inclusive."""
    possible = f"at least {least:g}" if most == math.inf else f"{least:g} to {most:g}"

    def check(value: float) -> float:
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError(possible)
        return value

    return check


def one_of(*words: str) -> Check:
    """Accept some words, in any case."""

    def check(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(", ".join(words))
        return value.lower()

    return check


def networks(text: str) -> str:
    """Accept addresses and networks."""
    for each in listed(text):
        try:
            ip_network(each)
        except ValueError:
            raise ValueError(f"addresses like 10.0.0.7 and networks like 10.0.0.0/8; {each!r} is neither") from None
    return text


def origins(text: str) -> str:
    """Write origins as browsers do: lower case, without the scheme's own port and without a slash at the end."""
    return ",".join(each if each == "*" else _origin(each) for each in listed(text))


def _origin(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or has_more or any(map(str.isspace, text)):
        raise ValueError(f"origins like https://maps.example or http://localhost:5173; {text!r} is none")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}")
