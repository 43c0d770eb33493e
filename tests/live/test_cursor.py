"""A cursor decodes to what it was made from, and nothing else is accepted as one."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.seal import UnknownLog, learn
from app.errors import BadInput
from app.live.log.cursor import Cursor, Position, Snapshot, decode_cursor, encode_cursor

LARGEST = (1 << 63) - 1
EPOCH, KEY = "0123456789ab", "a5" * 32
learn(f"{EPOCH}:{KEY}")
numbers = st.integers(0, LARGEST)
instants = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
snapshots = st.builds(Snapshot, numbers, st.frozensets(numbers, max_size=5))
positions = st.builds(Position, st.just(EPOCH), numbers, numbers, instants, snapshots)
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
def test_refuses_what_was_cut_off_or_altered(cursor: Cursor, data: st.DataObject):
    raw = bytearray(raw_of(encode_cursor(cursor)))
    before = bytes(raw)
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if bytes(raw) != before:
        with pytest.raises((BadInput, UnknownLog)):
            decode_cursor(urlsafe_b64encode(bytes(raw)).decode().rstrip("="))


def raw_of(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_opens_with_the_key_of_its_log_only():
    position = Position(EPOCH, 1, 2, datetime(2026, 3, 2, tzinfo=UTC), Snapshot(7))
    text = encode_cursor(Cursor(position))
    try:
        learn(f"{EPOCH}:{'5a' * 32}")
        with pytest.raises(BadInput):
            decode_cursor(text)
    finally:
        learn(f"{EPOCH}:{KEY}")
    assert decode_cursor(text).base == position
    with pytest.raises(UnknownLog):
        decode_cursor(urlsafe_b64encode(b"\x02" + bytes(6) + raw_of(text)[7:]).decode())


def test_says_nothing_of_what_it_holds():
    """Cursors of neighbouring positions have nothing in common but version and log."""
    one, other = (
        raw_of(encode_cursor(Cursor(Position(EPOCH, 1, 2, datetime(2026, 3, 2, tzinfo=UTC), Snapshot(xmax)))))
        for xmax in (1_000_000, 1_000_001)
    )
    assert one[:7] == other[:7]
    same = sum(a == b for a, b in zip(one[7:], other[7:], strict=True))
    assert same < len(one) / 4


@given(snapshots, snapshots, st.lists(numbers))
def test_covers_another_snapshot_if_it_sees_all_that_that_sees(one: Snapshot, other: Snapshot, transactions: list[int]):
    for transaction in [*transactions, *one.xip, *other.xip, one.xmax - 1, other.xmax - 1]:
        if one.covers(other) and other.sees(transaction):
            assert one.sees(transaction)
