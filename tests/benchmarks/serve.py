"""One variant as a server of its own: `python -m tests.benchmarks.serve LISTENER NAME DSN [ROLE_ID]`.

LISTENER is the number of an inherited socket that listens already. All run under uvicorn alike: uvloop, httptools,
one process, no access log.
"""

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
import uvloop

App = Any

# Each server loads its own code only.


def _hub(dsn: str, _: int | None) -> App:
    from app.main import Profile, create_app
    from app.settings import Settings

    # One caller asks as much here as thousands would.
    unlimited = Settings(
        partner_requests_per_s=0, partner_cost_per_s=0, anonymous_requests_per_s=0, anonymous_cost_per_s=0
    )
    return create_app(dsn, unlimited, Profile.PRODUCTION)


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


SERVERS: Mapping[str, Callable[[str, int | None], App]] = {
    "hub": _hub,
    "bare": _bare,
    "orm": _orm,
    "orm-cached": _orm_cached,
    "status-orm": _status_orm,
}


def main() -> None:
    listener, name, dsn, *role_id = sys.argv[1:]
    app = SERVERS[name](dsn, int(role_id[0]) if role_id else None)
    config = uvicorn.Config(app, http="httptools", access_log=False, log_level="warning", lifespan="on")
    gc.collect()
    gc.freeze()  # as `ochub serve` does
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[socket.socket(fileno=int(listener))]))


if __name__ == "__main__":
    main()
