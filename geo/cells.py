"""A fixed grid over the earth, coarser at every level up: what is in a cell of an area may be in the area.

Cells of level n are squares of 360 / 2^n degrees. An area is covered by cells of one level, the finest at which they
are few; so a place is looked up once per level, however many areas there are.
"""

from collections.abc import Iterable
from math import floor

FINEST_LEVEL = 14  # 2.4 km from south to north
LEVELS = range(FINEST_LEVEL, -1, -1)
MOST_CELLS = 32

#: West, south, east, north, in degrees, closed; west is not east of east.
Box = tuple[float, float, float, float]


def cell_of(level: int, longitude: float, latitude: float) -> int:
    """Return the number of the cell in which a place lies."""
    x, y = _places(level, longitude, latitude)
    return x << FINEST_LEVEL | y


def cover(boxes: Iterable[Box], most: int = MOST_CELLS) -> tuple[int, frozenset[int]]:
    """Return a level and its cells, at most `most` where that is possible, that meet one of the boxes."""
    listed = tuple(boxes)
    for level in LEVELS:
        cells = _cells(level, listed, most)
        if cells is not None:
            return level, cells
    return 0, frozenset({cell_of(0, 0, 0)})


def _cells(level: int, boxes: tuple[Box, ...], most: int) -> frozenset[int] | None:
    """Return the cells that meet the boxes; None when there are too many."""
    cells: set[int] = set()
    for west, south, east, north in boxes:
        left, bottom = _places(level, west, south)
        right, top = _places(level, east, north)
        if (right - left + 1) * (top - bottom + 1) > most:
            return None
        cells.update(x << FINEST_LEVEL | y for x in range(left, right + 1) for y in range(bottom, top + 1))
        if len(cells) > most:
            return None
    return frozenset(cells)


def _places(level: int, longitude: float, latitude: float) -> tuple[int, int]:
    """Return column and row; the earth's eastern and northern edges belong to the last ones."""
    count = 1 << level
    x = floor((longitude + 180) * count / 360)
    y = floor((latitude + 90) * count / 360)
    return min(max(x, 0), count - 1), min(max(y, 0), count - 1)
