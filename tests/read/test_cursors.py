"""Cursors: whatever a place in a list holds comes back as it was, and nothing else passes for one."""

from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.read.paging import BadCursor, BadPageSize, check_first, decode_cursor, encode_cursor

#: What an order's columns hold, by the type that reads it back.
VALUES: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    int: st.integers(-(2**63) + 1, 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    UUID: st.uuids(),
    datetime: st.datetimes(datetime(1990, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
}
PLACES = st.lists(
    st.sampled_from(list(VALUES)).flatmap(lambda type_: st.tuples(st.just(type_), VALUES[type_])), min_size=1
)


@given(
    place=PLACES,
    order=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    position=st.sampled_from([None, f"0123456789ab:{'a5' * 32} 1 2 3 4 5 "]),
)
def test_gives_back_the_place_it_was_made_of(place: list[tuple[type, Any]], order: str, position: str | None) -> None:
    cursor = encode_cursor(order, *(value for _, value in place), position=position)
    assert cursor.isascii()
    assert not set(cursor) & set("+/=")
    found = decode_cursor(cursor, order, [type_ for type_, _ in place])
    assert found == ([value for _, value in place], position)


@given(place=PLACES, order=st.sampled_from(["a", "b"]))
def test_is_refused_by_another_order(place: list[tuple[type, Any]], order: str) -> None:
    cursor = encode_cursor(order, *(value for _, value in place))
    with pytest.raises(BadCursor):
        decode_cursor(cursor, "c", [type_ for type_, _ in place])
    with pytest.raises(BadCursor):
        decode_cursor(cursor, order, [*(type_ for type_, _ in place), str])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=5
)


@given(
    text=st.one_of(
        st.text(),
        st.binary().map(lambda raw: urlsafe_b64encode(raw).decode()),
        JSON.map(lambda value: urlsafe_b64encode(repr(value).encode("utf-8", "replace")).decode()),
    ),
    types=st.lists(st.sampled_from(list(VALUES)), max_size=3),
)
def test_gives_values_of_the_right_types_or_refuses(text: str, types: list[type]) -> None:
    with suppress(BadCursor):
        assert [type(value) for value in decode_cursor(text, "x", types)] == types


@given(st.integers())
def test_takes_one_to_five_hundred_rows_per_page(first: int) -> None:
    if 1 <= first <= 500:
        assert check_first(first) == first
    else:
        with pytest.raises(BadPageSize, match=f"{first}.*1 to 500"):
            check_first(first)
