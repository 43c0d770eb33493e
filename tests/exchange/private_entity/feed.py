"""The feed of reservations, which goes by the two roles of each: `reservation_sides` reads nothing else of them."""

from enum import StrEnum
from typing import Final, cast

from app.live.feeds.sides import feed_of_sides
from app.vocabulary import LogKind


class Kind(StrEnum):
    """In the product a member of `LogKind`."""

    RESERVATION = "RESERVATION"


RESERVATIONS: Final = feed_of_sides(
    "reservation",
    cast(LogKind, Kind.RESERVATION),
    "select id, role_ids from reservation_sides($1::text[]::uuid[])",
)
