"""A cursor decodes to what it was made from, and nothing else is accepted as one."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInput
from app.live.log.cursor import Cursor, Position, Snapshot, decode_cursor, encode_cursor

LARGEST = (1 << 63) - 1
numbers = st.integers(0, LARGEST)
instants = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
snapshots = st.builds(Snapshot, numbers, st.frozensets(numbers, max_size=5))
positions = st.builds(Position, st.just("0123456789ab"), numbers, numbers, instants, snapshots)
places = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
cursors = st.builds(Cursor, positions) | st.builds(
    Cursor, positions, positions, numbers, numbers, places
) | st.builds(Cursor, positions, st.none(), st.just(0), st.just(0), places)  # fmt: skip


@given(cursors)
def test_gives_back_what_it_was_made_from(cursor: Cursor):
    assert decode_cursor(encode_cursor(cursor)) == cursor


@given(st.text(max_size=60))
def test_refuses_what_never_was_one(text: str):
    with pytest.raises(BadInput):
        decode_cursor(text)


@given(cursors, st.data())
def test_refuses_or_reads_what_was_cut_off_or_altered(cursor: Cursor, data: st.DataObject):
    """Whatever the bytes, the result is a cursor or a refusal."""
    text = encode_cursor(cursor)
    raw = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    altered = urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    try:
        read = decode_cursor(altered)
    except BadInput:
        return
    assert isinstance(read, Cursor)


def test_refuses_another_version_and_a_signature_that_it_cannot_check():
    text = encode_cursor(Cursor(Position("0123456789ab", 1, 2, datetime(2026, 3, 2, tzinfo=UTC), Snapshot(7))))
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for altered in (bytes([2]) + raw[1:], raw + b"signature"):
        with pytest.raises(BadInput):
            decode_cursor(urlsafe_b64encode(altered).decode().rstrip("="))


@given(snapshots, snapshots, st.lists(numbers))
def test_covers_another_snapshot_if_it_sees_all_that_that_sees(one: Snapshot, other: Snapshot, transactions: list[int]):
    for transaction in [*transactions, *one.xip, *other.xip, one.xmax - 1, other.xmax - 1]:
        if one.covers(other) and other.sees(transaction):
            assert one.sees(transaction)
