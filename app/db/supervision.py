"""Keeps the server of the private cluster running while a hub serves: started again when it has died.

A server that finds its disk full, or is killed with all its processes, stays down by itself. The hub's pools connect
again once it is back.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import structlog

from app.db.cluster import Cluster
from app.db.cluster_home import ClusterUnusable

LOOKED_EVERY_S: Final = 0.5
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0

log = structlog.get_logger(__name__)


@contextmanager
def supervised(cluster: Cluster) -> Generator[None]:
    """Supervise the server during the block."""
    ended = threading.Event()
    thread = threading.Thread(target=_supervise, args=(cluster, ended), name="supervision", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _supervise(cluster: Cluster, ended: threading.Event) -> None:
    pause_s = FIRST_PAUSE_S
    while not ended.wait(LOOKED_EVERY_S):
        if not cluster.is_gone():
            continue
        try:
            cluster.start_again()
        except (ClusterUnusable, OSError) as error:
            log.error("PostgreSQL has died and does not start", error=str(error), next_try_in_s=pause_s)
            ended.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        else:
            log.warning("PostgreSQL had died and was started again")
            pause_s = FIRST_PAUSE_S
