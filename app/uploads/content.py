"""What of an item's content counts when it is compared by its hash."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import orjson


def content_hash(content: Mapping[str, Any], layout: int, default: Callable[[Any], Any] | None = None) -> bytes:
    """Hash a row's content, alike in every process: the same item sent again has the same hash.

    Shape: 16 bytes of BLAKE2b over the layout's version and the content as JSON with sorted keys, so that moving a
    column changes nothing, and neither does a column that is absent or has its default. `default`: writes what JSON has
    no value for.
    """
    options = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z
    content_json = orjson.dumps(_without_defaults(content), default=default, option=options)
    return blake2b(bytes([layout]) + content_json, digest_size=16).digest()


def _without_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's content without what is absent or default.

    So an optional field that a release adds leaves the hash of every row that does not use it. The integer 0 is the
    default of masks; a number that is measured is a float, of which 0 counts.
    """
    return {name: value for name, value in content.items() if not _is_default(value)}


def _is_default(value: Any) -> bool:
    return value is None or value is False or (type(value) is int and value == 0) or value in ([], (), "[]")
