"""A hub whose subscriptions count."""

from collections.abc import Iterator

import pytest

from tests.hub import Hub, serve
from tests.wire.counter import COUNTING, Counter
from tests.world import World


@pytest.fixture(scope="session")
def counting(world: World) -> Iterator[Hub]:
    with serve(world.dsn, api={"schema": COUNTING, "source": Counter()}) as hub:
        yield hub
