"""The feed of charging sessions, which goes by their operator and their provider."""

from typing import Final

from app.live.feeds.sides import feed_of_sides
from app.vocabulary import LogKind

SESSIONS: Final = feed_of_sides(
    "session", LogKind.SESSION, "select id, role_ids from session_sides($1::text[]::uuid[])"
)
