"""One variant as a server of its own: `python -m tests.benchmarks.serve LISTENER NAME DSN [ROLE_ID]`.

LISTENER is the number of an inherited socket that listens already. All run under uvicorn alike: uvloop, httptools,
one process, no access log.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
import uvloop

from app.gc_tuning import overlook_what_stays

App = Any

# Each server loads its own code only.


def _hub(dsn: str, _: int | None) -> App:
    from app.main import Profile, create_app
    from app.settings import Settings

    # One caller asks as much here as thousands would.
    unlimited = Settings(
        partner_requests_per_s=0,
        partner_cost_per_s=0,
        anonymous_requests_per_s=0,
        anonymous_cost_per_s=0,
        max_sockets_per_address=1_000_000,
        max_subscriptions_per_address=1_000_000,
        # Clients that measure memory answer no pings.
        keepalive_s=3600,
    )
    return create_app(dsn, unlimited, Profile.PRODUCTION)


def _bare_sockets(_: str, __: int | None) -> App:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": '{"type":"connection_ack"}'})

    return application


def _bare(dsn: str, role_id: int | None) -> App:
    from tests.benchmarks.bare import BareRoute

    return BareRoute(dsn, role_id)


def _orm(dsn: str, _: int | None) -> App:
    from tests.benchmarks.orm import orm_app

    return orm_app(dsn, cached=False)


def _orm_cached(dsn: str, _: int | None) -> App:
    from tests.benchmarks.orm import orm_app

    return orm_app(dsn, cached=True)


def _status_orm(dsn: str, _: int | None) -> App:
    from tests.benchmarks.status_orm import status_app

    return status_app(dsn)


def _uploads_orm(dsn: str, _: int | None) -> App:
    from tests.benchmarks.uploads_orm import uploads_app

    return uploads_app(dsn)


def _fanout_strawberry(_: str, __: int | None) -> App:
    from tests.benchmarks.fanout_baselines import strawberry_app

    return strawberry_app()


def _fanout_raw(_: str, __: int | None) -> App:
    from tests.benchmarks.fanout_baselines import BroadcastApp

    return BroadcastApp()


SERVERS: Mapping[str, Callable[[str, int | None], App]] = {
    "hub": _hub,
    "bare": _bare,
    "bare-sockets": _bare_sockets,
    "orm": _orm,
    "orm-cached": _orm_cached,
    "status-orm": _status_orm,
    "uploads-orm": _uploads_orm,
    "fanout-strawberry": _fanout_strawberry,
    "fanout-raw": _fanout_raw,
}


def _config(name: str, app: App) -> uvicorn.Config:
    """Return uvicorn's settings: those of `ochub serve` for the hub."""
    if name != "hub":
        return uvicorn.Config(
            app, access_log=False, log_level="warning", lifespan="on", http="httptools", ws_ping_interval=None
        )
    from app.http.uvicorn_limits import server_config
    from app.settings import Settings

    return server_config(app, Settings(keepalive_s=3600), log_level="warning", lifespan="on")


def main() -> None:
    listener, name, dsn, *role_id = sys.argv[1:]
    app = SERVERS[name](dsn, int(role_id[0]) if role_id else None)
    config = _config(name, app)
    overlook_what_stays()  # as `ochub serve` does
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[socket.socket(fileno=int(listener))]))


if __name__ == "__main__":
    main()
