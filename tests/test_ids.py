"""The identifiers: every accepted spelling is one id, everything else is refused with what was expected."""

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.ids import (
    InvalidId,
    check_digit,
    normalise_cdr_id,
    normalise_contract_id,
    normalise_evse_id,
    normalise_location_id,
    normalise_parking_id,
    normalise_party_id,
    normalise_tariff_id,
    party_of,
    separated_contract_id,
    separated_evse_id,
    separated_parking_id,
    separated_party_id,
    separated_tariff_id,
    shown,
    storable,
)

LETTERS = string.ascii_letters
ALPHANUMERIC = string.ascii_letters + string.digits

#: kind letter, normalise, separate, longest instance
COMPONENTS: list[tuple[str, Callable[[str], str], Callable[[str], str], int]] = [
    ("E", normalise_evse_id, separated_evse_id, 31),
    ("P", normalise_parking_id, separated_parking_id, 31),
    ("T", normalise_tariff_id, separated_tariff_id, 10),
]
components = pytest.mark.parametrize(("letter", "normalise", "separated", "longest"), COMPONENTS)
EVERY_NORMALISE = [
    normalise_evse_id,
    normalise_parking_id,
    normalise_tariff_id,
    normalise_party_id,
    normalise_contract_id,
    normalise_cdr_id,
    normalise_location_id,
]

VECTORS = (
    "NN123ABCDEFGHI-T",
    "FRXYZ123456789-2",
    "ITA1B2C3E4F5G6-4",
    "ESZU8WOX834H1D-R",
    "PT73902837ABCZ-Z",
    "DE83DUIEN83QGZ-D",
    "DE83DUIEN83ZGQ-M",
    "DE8AA001234567-0",
)


def spelling(text: str, flips: list[bool]) -> str:
    """Swap the case of the letters that the drawn booleans point at."""
    return "".join(c.swapcase() if flip else c for c, flip in zip(text, flips, strict=False)) + text[len(flips) :]


@st.composite
def parts(draw: st.DrawFn, longest: int) -> tuple[str, str, str]:
    country = draw(st.text(LETTERS, min_size=2, max_size=2))
    operator = draw(st.text(ALPHANUMERIC, min_size=3, max_size=3))
    first = draw(st.sampled_from(ALPHANUMERIC))
    return country, operator, first + draw(st.text(ALPHANUMERIC + "*", max_size=longest - 1))


# ---------------------------------------------------------------- EVSE-, Parking- and Tariff-ID


@components
def test_gives_every_spelling_of_a_component_the_same_id(letter, normalise, separated, longest) -> None:
    @given(parts(longest), st.lists(st.booleans(), max_size=45))
    def law(drawn: tuple[str, str, str], flips: list[bool]) -> None:
        country, operator, instance = drawn
        expected = f"{country}{operator}{letter}{instance}".upper()
        for text in (f"{country}{operator}{letter}{instance}", f"{country}*{operator}*{letter}{instance}"):
            assert normalise(text) == expected
            assert normalise(spelling(text, flips)) == expected
        assert normalise(expected) == expected
        assert normalise(separated(expected)) == expected
        assert party_of(expected) == f"{country}{operator}".upper()

    law()


@components
def test_takes_the_longest_and_the_shortest_instance_and_nothing_beyond(letter, normalise, separated, longest) -> None:
    assert normalise(f"DE8AC{letter}1") == f"DE8AC{letter}1"
    assert normalise(f"DE8AC{letter}" + "1" * longest) == f"DE8AC{letter}" + "1" * longest
    for text in (f"DE8AC{letter}", f"DE8AC{letter}" + "1" * (longest + 1)):
        with pytest.raises(InvalidId):
            normalise(text)


@components
def test_refuses_half_separated_misplaced_and_foreign_kinds(letter, normalise, separated, longest) -> None:
    other = "X"
    for text in (
        f"DE*8AC{letter}1",
        f"DE8AC*{letter}1",
        f"DE-8AC-{letter}1",
        f"DE*8AC*{other}1",
        f"DE8AC{letter}*1",
        f"DE8AC{letter}1-2",
        f"1E8AC{letter}1",
        f" DE8AC{letter}1",
        f"DE8AC{letter}1\n",
        f"DE8AC{letter}1\x00",
        "",
    ):
        with pytest.raises(InvalidId) as refusal:
            normalise(text)
        assert refusal.value.code == "INVALID_ID"


def test_keeps_the_star_in_an_outlet() -> None:
    assert normalise_evse_id("fr*a23*e45b*78c") == "FRA23E45B*78C"
    assert separated_evse_id("FRA23E45B*78C") == "FR*A23*E45B*78C"
    assert normalise_evse_id("FRA23E45B78C") != normalise_evse_id("FRA23E45B*78C")


def test_reads_the_din_form_of_an_evse_id() -> None:
    assert normalise_evse_id("+49*823*1234*5678") == "DE823E1234*5678"
    assert normalise_evse_id("+49*823*" + "1" * 31) == "DE823E" + "1" * 31
    for text in (
        "+49*823*" + "1" * 32,
        "+49*823",
        "+49*823*",
        "+49*8A3*1",
        "+43*823*1",
        "49*823*1",
        "+49823*1",
        "+49*823**1",
    ):
        with pytest.raises(InvalidId):
            normalise_evse_id(text)


@pytest.mark.parametrize("normalise", EVERY_NORMALISE)
@given(text=st.text(max_size=40))
@example(text="\uff26\uff32A23E45")  # fullwidth letters
@example(text="FRA23E\uff14\uff15")  # fullwidth digits
@example(text="f\u0131A23E45")  # Turkish dotless i, upper case I
@example(text="\u017fRA23E45")  # long s, upper case S
@example(text="FRA23E4\ud800")
def test_takes_ascii_only_and_raises_nothing_else(normalise: Callable[[str], str], text: str) -> None:
    try:
        normalised = normalise(text)
    except InvalidId as refusal:
        message = refusal.message
    else:
        assert text.isascii()
        assert normalise(normalised) == normalised
        return
    assert message.encode()  # a lone surrogate must not come back
    assert "\x00" not in message
    assert "expected" in message


# ---------------------------------------------------------------- party id


@pytest.mark.parametrize("text", ["DE8AC", "de*8ac", "DE-8AC", "De8aC"])
def test_reads_a_party_id_in_every_spelling(text: str) -> None:
    assert normalise_party_id(text) == "DE8AC"
    assert normalise_party_id(separated_party_id("DE8AC")) == "DE8AC"


@pytest.mark.parametrize("text", ["", "DE8A", "DE8ACX", "D18AC", "DE 8AC", "DE8AC\n", "DE*-8AC", "DE8A\u212a"])
def test_refuses_what_is_no_party_id(text: str) -> None:
    with pytest.raises(InvalidId):
        normalise_party_id(text)


# ---------------------------------------------------------------- contract id


@pytest.mark.parametrize("published", VECTORS)
def test_computes_the_published_check_digits(published: str) -> None:
    key, digit = published.split("-")
    assert check_digit(key) == digit
    separated = f"{key[:2]}-{key[2:5]}-{key[5:]}-{digit}"
    for text in (key, key + digit, published, published.lower(), separated, separated.lower(), separated[:-2]):
        assert normalise_contract_id(text) == key
    assert normalise_contract_id(separated_contract_id(key)) == key


@pytest.mark.parametrize("published", VECTORS)
def test_refuses_every_other_check_digit(published: str) -> None:
    key, digit = published.split("-")
    for wrong in set(string.ascii_uppercase + string.digits) - {digit}:
        with pytest.raises(InvalidId, match=f"expected the check digit {digit}"):
            normalise_contract_id(key + wrong)


@given(
    st.text(string.ascii_uppercase, min_size=2, max_size=2),
    st.text(string.ascii_uppercase + string.digits, min_size=12, max_size=12),
)
def test_sees_every_mistyped_character_and_every_swap_of_neighbours(country: str, rest: str) -> None:
    key = country + rest
    digit = check_digit(key)
    for place, character in enumerate(key):
        alphabet = string.ascii_uppercase if place < 2 else string.ascii_uppercase + string.digits
        mistyped = key[:place] + alphabet[(alphabet.index(character) + 1) % len(alphabet)] + key[place + 1 :]
        assert check_digit(mistyped) != digit
        swapped = key[:place] + key[place : place + 2][::-1] + key[place + 2 :]
        assert swapped == key or check_digit(swapped) != digit


@pytest.mark.parametrize(
    "text",
    [
        "DE-8AA001234567",
        "DE8AA-001234567",
        "DE-8AA-0012345670",
        "DE8AA00123456",
        "DE8AA00123456701",
        "DE-8AA-001234567-",
        "D88AA001234567",
    ],
)
def test_refuses_half_separated_contract_ids_and_wrong_lengths(text: str) -> None:
    with pytest.raises(InvalidId, match="not a Contract-ID"):
        normalise_contract_id(text)


# ---------------------------------------------------------------- CDR-ID, location id, messages


def test_takes_cdr_ids_of_1_to_36_letters_and_digits() -> None:
    assert normalise_cdr_id("de8ac0001") == "DE8AC0001"
    assert normalise_cdr_id("A" * 36) == "A" * 36
    for text in ("", "A" * 37, "A-1", "A*1", "A 1"):
        with pytest.raises(InvalidId):
            normalise_cdr_id(text)


def test_takes_location_ids_of_1_to_36_characters() -> None:
    assert normalise_location_id("fr*tst p-1") == "FR*TST P-1"
    assert normalise_location_id("A" * 36) == "A" * 36
    for text in ("", "A" * 37, "A/1", "A_1", "É1", "straße"):
        with pytest.raises(InvalidId):
            normalise_location_id(text)


def test_shows_the_value_and_what_was_expected() -> None:
    with pytest.raises(InvalidId, match=re.escape("'FR*A23' is not an EVSE-ID; expected country (2 letters)")):
        normalise_evse_id("FR*A23")


def test_shortens_and_escapes_what_it_shows() -> None:
    assert shown("a" * 100) == "'" + "a" * 59 + "…'"
    assert shown("a\x00\ud800é") == r"'a\x00\ud800é'"
    assert storable("a\x00\ud800é" + "b" * 300) == r"a\x00\ud800é" + "b" * 251
