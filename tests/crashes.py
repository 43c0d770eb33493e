"""A database server of a test's own, which is as safe as a real one and is killed."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from app.db import cluster as clusters
from app.db.cluster import Cluster
from tests.databases import CLUSTERS


@contextmanager
def crash_safe_home() -> Iterator[Path]:
    """Make a directory for a cluster, and delete it after the block."""
    path = CLUSTERS / f"ochub-crash-{uuid4().hex[:8]}"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def crash(cluster: Cluster, how: signal.Signals) -> None:
    """End a server at once: what it has not written by now is lost."""
    os.kill(int((cluster.home / "data" / "postmaster.pid").read_text().split()[0]), how)


async def recover(home: Path) -> None:
    """Start the server again; it repairs itself."""
    (await asyncio.to_thread(clusters.start, home)).stop()
