"""A cursor gives back the position it was made from, and nothing else passes for one."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInput
from app.live.cursor import LARGEST, CursorExpired, Position, decode_cursor, encode_cursor

numbers = st.integers(0, LARGEST)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
positions = st.builds(Position, numbers, numbers, texts)


@given(texts, positions)
def test_gives_back_its_position(epoch: str, position: Position):
    assert decode_cursor(encode_cursor(epoch, position), epoch) == position


def test_expires_in_another_epoch():
    with pytest.raises(CursorExpired) as refused:
        decode_cursor(encode_cursor("one", Position(7)), "another")
    assert refused.value.code == "CURSOR_EXPIRED"


@given(st.text(max_size=60))
def test_refuses_what_never_was_one(text: str):
    with pytest.raises(BadInput):
        decode_cursor(text, "epoch")


@pytest.mark.parametrize(
    "inside",
    [
        "null",
        "[]",
        "{}",
        '["e", 1, 2]',
        '["e", 1, 2, "", 0]',
        '["e", "1", 2, ""]',
        '["e", true, 2, ""]',
        '["e", 1.5, 2, ""]',
        '["e", -1, 2, ""]',
        '["e", 9223372036854775808, 2, ""]',
        '["e", 99999999999999999999999999, 2, ""]',
        '["e", 1, 2, 3]',
        '["e", 1, 2, "\\u0000"]',
        '[1, 1, 2, ""]',
        '["e", 1, 2, ""',
    ],
)
def test_refuses_what_only_looks_like_one(inside: str):
    with pytest.raises(BadInput):
        decode_cursor(urlsafe_b64encode(inside.encode()).decode().rstrip("="), "e")


def test_is_ordered_as_the_log_is_read():
    one, two = Position(1), Position(2)
    assert one < Position(1, 4) < Position(1, 4, "DEAAA") < Position(1, 4, "DEBBB") < Position(1, 5) < two
