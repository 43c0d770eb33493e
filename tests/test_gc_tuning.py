"""Garbage collection skips frozen objects, and still finds cycles that are not. In processes of their own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

STARTED = """
import gc, weakref
from app.gc_tuning import overlook_what_stays

class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return node

libraries = [[number] for number in range(100_000)]
{overlook}
"""

SUBSCRIBES = """
staying = [[number] for number in range(50_000)]
gc.collect()
print(len(gc.get_objects()))
"""

COMES_AND_GOES = """
seen = weakref.WeakSet()
most = 0
for _ in range(200):
    passing = [cycle() for _ in range(5_000)]
    seen.update(passing)
    gc.collect()
    most = max(most, len(seen))
print(most)
"""


def told(script: str, overlook: str) -> int:
    script = STARTED.format(overlook=overlook) + script
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=120, check=True)
    return int(done.stdout)


@pytest.mark.parametrize(("overlook", "few"), [("overlook_what_stays()", True), ("", False)])
def test_looks_no_more_at_what_stays(overlook: str, few: bool) -> None:
    assert (told(SUBSCRIBES, overlook) < 10_000) is few


@pytest.mark.parametrize(
    ("overlook", "bounded"),
    [
        ("overlook_what_stays()", True),
        # The twin sets everything aside and never looks at it again.
        ("gc.callbacks.append(lambda phase, info: gc.freeze() if phase == 'stop' else None)", False),
    ],
)
def test_finds_cycles_that_it_had_set_aside(overlook: str, bounded: bool) -> None:
    """A million come and go, 5,000 at a time; beside 100,000 lists that stay."""
    assert (told(COMES_AND_GOES, overlook) < 400_000) is bounded
