"""The headers of a request: what a client sends and what it accepts."""

from collections.abc import Mapping
from functools import lru_cache

from app.http.refusals import BadRequest

JSON = "application/json"
UTF_8 = frozenset({"", "utf-8", "utf8"})
#: Longer header values are not cached.
CACHED_BYTES = 200

#: By lower-case name, both as bytes.
Headers = Mapping[bytes, bytes]


def text_of(headers: Headers, name: bytes) -> str:
    """Return a header as text; empty where it is absent."""
    return headers.get(name, b"").decode("latin-1")


def media_ranges(text: str) -> dict[str, float]:
    """Return the quality of each range of `Accept`, or of each coding of `Accept-Encoding`."""
    ranges = [_media_range(each) for each in text.split(",") if each.strip()]
    return {name: quality for quality, name in sorted(ranges)}


def _media_range(text: str) -> tuple[float, str]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return min(max(float(quality), 0.0), 1.0), name
    except ValueError:
        return 0.0, name


def accepts_gzip(headers: Headers) -> bool:
    """Return whether the client accepts gzip."""
    return media_ranges(text_of(headers, b"accept-encoding")).get("gzip", 0) > 0


def check_method(method: str, possible: tuple[str, ...]) -> None:
    """Raise BadRequest unless the method is possible."""
    if method not in possible:
        allow = ", ".join(possible)
        raise BadRequest(f"{method} is not possible here; possible: {allow}", status=405, allow=allow)


def check_body_type(headers: Headers, possible: str = JSON) -> None:
    """Raise BadRequest unless the body is of that media type, in UTF-8 and uncompressed, by its headers."""
    content_type = headers.get(b"content-type", b"")
    check = check_content_type if len(content_type) <= CACHED_BYTES else check_content_type.__wrapped__
    check(content_type, possible)
    if b"content-encoding" not in headers:
        return
    encoding = text_of(headers, b"content-encoding")
    if encoding.strip().lower() != "identity":
        raise BadRequest(f"Content-Encoding is {encoding:.40}; possible: identity", "send it uncompressed", status=415)


@lru_cache(maxsize=256)
def check_content_type(content_type: bytes, possible: str) -> None:
    """Raise BadRequest unless a `Content-Type` is `possible`, in UTF-8."""
    name, *parameters = (part.strip().lower() for part in content_type.decode("latin-1").split(";"))
    if name != possible:
        raise BadRequest(f"Content-Type is {name or 'missing'}; possible: {possible}", status=415)
    charset = next((each.partition("=")[2].strip('" ') for each in parameters if each.startswith("charset")), "")
    if charset not in UTF_8:
        raise BadRequest(f"the charset is {charset}; possible: utf-8", status=415)
