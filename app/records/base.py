"""What all records share."""

import msgspec

from app.uploads.checks import Latitude, Longitude


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """A frozen value named in snake case inside and camel case outside.

    It cannot be part of a cycle, so garbage collection skips it: an upload creates a hundred thousand.
    """


class Point(Record, frozen=True, kw_only=True):
    latitude: Latitude
    longitude: Longitude


def rounded(degrees: float) -> float:
    """Round degrees as positions are compared; adding zero makes -0.0 and 0.0 the same."""
    return round(degrees, 6) + 0.0
