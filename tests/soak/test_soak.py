"""The parts of `make soak`, for seconds."""

from dataclasses import replace
from uuid import uuid4

import pytest

from app.db.cluster import Cluster
from tests.soak import live, mixed
from tests.soak.database import make_database
from tests.soak.evses import HoardingOperator
from tests.soak.hub import require_flat
from tests.soak.published import Wrong
from tests.soak.spots import HoardingParkingOperator

pytestmark = pytest.mark.process


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
        await live.soak(empty, replace(live.SMALL, seconds=2, clients=2, workers=1), seed, live.Forgetful, settle_s=3)


async def test_answers_what_was_published_whatever_else_is_under_way(empty: str, seed: int):
    figures = await mixed.soak(empty, mixed.SMALL, seed)
    kinds = ("lists", "updates", "removals", "statuses")
    assert figures.writes.keys() == {f"{kind} of {noun}" for kind in kinds for noun in ("EVSEs", "spots")}
    assert figures.questions
    assert figures.changes


async def test_would_notice_an_evse_that_is_not_what_was_published(empty: str, seed: int):
    with pytest.raises(Wrong, match="EVSEs"):
        await mixed.soak(empty, mixed.SMALL, seed, operator=HoardingOperator)


async def test_would_notice_a_spot_that_is_not_what_was_published(empty: str, seed: int):
    with pytest.raises(Wrong, match="spots"):
        await mixed.soak(empty, mixed.SMALL, seed, pso=HoardingParkingOperator)


def test_takes_memory_for_flat_that_only_warms_up():
    require_flat([mebibytes << 20 for mebibytes in (50, 100, 150, 200, 201, 199, 203, 202, 201)])


def test_would_notice_memory_that_grows():
    with pytest.raises(AssertionError, match="memory grew from 300 to 400 MiB"):
        require_flat([mebibytes << 20 for mebibytes in range(50, 450, 50)] + [400 << 20])
