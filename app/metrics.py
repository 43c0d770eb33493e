"""What the hub counts and times, for Prometheus; names and labels hold no partner and no secret."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

#: `way`: compiled (the thin route), executed (Strawberry), subscribed, refused (never executed).
REQUESTS = Counter(
    "ochub_graphql_requests", "GraphQL requests by the way they were answered.", ["way"], registry=REGISTRY
)
ERRORS = Counter("ochub_graphql_errors", "Errors shown, by code.", ["code"], registry=REGISTRY)
SECONDS = Histogram(
    "ochub_graphql_seconds",
    "Seconds from the request's body to its answer.",
    ["way"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
SOCKETS = Gauge("ochub_sockets", "Open WebSockets and event streams of this process.", registry=REGISTRY)
SUBSCRIPTIONS = Gauge("ochub_subscriptions", "Running subscriptions of this process.", registry=REGISTRY)
CLOSED = Counter("ochub_sockets_closed", "WebSockets that the hub closed, by close code.", ["code"], registry=REGISTRY)
UPLOADED = Counter("ochub_upload_items", "Uploaded items by what became of them.", ["outcome"], registry=REGISTRY)
CONNECTIONS = Gauge(
    "ochub_database_connections", "Database connections of this process.", ["pool", "state"], registry=REGISTRY
)
KEEPER = Gauge("ochub_keeper", "1 in the process that is the keeper.", registry=REGISTRY)
LOG_LAG = Gauge("ochub_log_lag_seconds", "Age of the oldest change that readers cannot have yet.", registry=REGISTRY)
OLDEST_WRITER = Gauge(
    "ochub_oldest_writer_seconds", "Age of the oldest open transaction that holds readers back.", registry=REGISTRY
)


def rendered() -> bytes:
    """Give all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
