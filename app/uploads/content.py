"""What of an item's content counts when it is compared by its hash."""

from collections.abc import Mapping
from typing import Any


def without_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's content without what is absent or default.

    So an optional field that a release adds leaves the hash of every row that does not use it. The integer 0 is the
    default of masks; a number that is measured is a float, of which 0 counts.
    """
    return {name: value for name, value in content.items() if not _is_default(value)}


def _is_default(value: Any) -> bool:
    return value is None or value is False or (type(value) is int and value == 0) or value in ([], (), "[]")
