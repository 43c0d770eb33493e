"""The metrics of the hub, for Prometheus; names and labels hold no partner and no secret."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REGISTRY = CollectorRegistry()

#: How a gauge combines the living workers of one `ochub serve`: their sum, or the largest value.
SUM: Literal["livesum"] = "livesum"
LARGEST: Literal["livemax"] = "livemax"


def _gauge(name: str, meaning: str, labels: Sequence[str] = (), mode: Literal["livesum", "livemax"] = SUM) -> Gauge:
    return Gauge(name, meaning, labels, registry=REGISTRY, multiprocess_mode=mode)


#: `way`: compiled (without the executor), executed (by Strawberry), subscribed, refused (never executed), abandoned
#: (cancelled because the client left).
REQUESTS = Counter(
    "ochub_graphql_requests", "GraphQL requests by the way they were answered.", ["way"], registry=REGISTRY
)
ERRORS = Counter("ochub_graphql_errors", "Errors in answers, by code.", ["code"], registry=REGISTRY)
SECONDS = Histogram(
    "ochub_graphql_seconds",
    "Seconds from the head of an HTTP request to its answer, with the time in which the body arrives.",
    ["way"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
SOCKETS = _gauge("ochub_sockets", "Open WebSockets and event streams.")
SUBSCRIPTIONS = _gauge("ochub_subscriptions", "Running subscriptions.")
CLOSED = Counter("ochub_sockets_closed", "WebSockets that the hub closed, by close code.", ["code"], registry=REGISTRY)
UPLOADED = Counter("ochub_upload_items", "Uploaded items by outcome.", ["outcome"], registry=REGISTRY)
CONNECTIONS = _gauge("ochub_database_connections", "Database connections.", ["pool", "state"])
LEADER = _gauge("ochub_leader", "1 in the process that is the leader.")
STREAM_LAG = _gauge("ochub_stream_lag_seconds", "Age of the oldest change that a process is delivering.", mode=LARGEST)


@cache
def answered(way: str) -> tuple[Counter, Histogram]:
    """Return the counter and the histogram of one way; cached, because the lookup costs more than their use."""
    return REQUESTS.labels(way), SECONDS.labels(way)


def rendered() -> bytes:
    """Return all metrics in Prometheus' text format: of this process, or of all workers of `ochub serve` together."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)
    return generate_latest(together)
