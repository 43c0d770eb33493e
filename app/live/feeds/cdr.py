"""The feed of CDRs, which goes by their operator and their provider."""

from typing import Final

from app.live.feeds.sides import feed_of_sides
from app.vocabulary import LogKind

CDRS: Final = feed_of_sides("cdr", LogKind.CDR, "select id, role_ids from cdr_sides($1::text[]::uuid[])")
