"""The feed of requests for single authorisations, which goes by the operator and the provider of the token, if any."""

from typing import Final

from app.live.feeds.sides import feed_of_sides
from app.vocabulary import LogKind

REQUESTS: Final = feed_of_sides(
    "authorisation request",
    LogKind.AUTHORISATION_REQUEST,
    "select id, role_ids from authorisation_request_sides($1::text[]::bigint[])",
)
