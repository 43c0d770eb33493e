"""The parts of `make soak`, for seconds."""

from dataclasses import replace
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from tests.soak import live
from tests.soak.database import make_database


@pytest.fixture
async def empty(cluster: Cluster) -> str:
    return await make_database(cluster.dsn, f"soak_{uuid4().hex}")


async def test_loses_nothing_whatever_is_cut(empty: str, seed: int):
    figures = await live.soak(empty, live.SMALL, seed)
    assert figures.pushed
    assert figures.cuts
    assert figures.changes


async def test_would_notice_what_a_forgetful_client_loses(empty: str, seed: int):
    with pytest.raises(live.Lost):
        await live.soak(empty, replace(live.SMALL, seconds=2, clients=2), seed, live.Forgetful, settle_s=3)
