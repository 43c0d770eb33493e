"""Where PostGIS's index is at odds with its own distances by a bit, the nearest are found all the same."""

import pytest

from tests.hub import Hub
from tests.slow_reading import great_circle_m


@pytest.mark.parametrize(
    ("longitude", "latitude", "nearest"),
    [
        (180, -16.8, {"DE*SON*E9", "DE*SON*E10"}),
        (-180, -16.8, {"DE*SON*E9", "DE*SON*E10"}),
        (180, -16.80000001, {"DE*SON*E9", "DE*SON*E10"}),
        (-179.99999999, -16.8, {"DE*SON*E9", "DE*SON*E10"}),
        (0, 0, {"DE*SON*E5", "DE*SON*E6"}),
        (1e-12, 0, {"DE*SON*E5", "DE*SON*E6"}),
        (0, 1e-12, {"DE*SON*E5", "DE*SON*E6"}),
        (-1e-12, -1e-12, {"DE*SON*E5", "DE*SON*E6"}),
        (1e-9, 1e-9, {"DE*SON*E5", "DE*SON*E6"}),
        (1e-12, 90, {"DE*SON*E13"}),
        (-133, 90, {"DE*SON*E13"}),
        (0, 90, {"DE*SON*E13"}),
    ],
)
def test_finds_the_nearest_where_the_index_errs(hub: Hub, longitude: float, latitude: float, nearest: set[str]) -> None:
    shown = "edges { distanceM node { evseId position { longitude latitude } } }"
    query = f"query ($x: NearInput!) {{ evses(within: {{ near: $x }}) {{ {shown} }} }}"
    edges = hub.ask(query, {"x": {"longitude": longitude, "latitude": latitude}})["evses"]["edges"]
    assert {edge["node"]["evseId"] for edge in edges if edge["distanceM"] == 0} == nearest
    for edge in edges:
        at = edge["node"]["position"]
        metres = great_circle_m(longitude, latitude, at["longitude"], at["latitude"])
        assert edge["distanceM"] == pytest.approx(metres, abs=0.06)
