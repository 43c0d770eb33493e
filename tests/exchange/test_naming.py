"""What people type to name partners and roles."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import HubError
from app.exchange.naming import (
    ROLES_IN_WORDS,
    Reference,
    choose_pair,
    choose_partner,
    choose_role,
    read_reference,
    read_role,
    read_role_of,
)
from app.exchange.partners import Partner
from app.exchange.roles import HeldRole, RoleName
from app.vocabulary import Role


def partner(number: int, name: str, *roles: tuple[Role, str | None]) -> Partner:
    id_ = UUID(int=number)
    held = [HeldRole(number * 100 + n, id_, name, RoleName(*role)) for n, role in enumerate(roles)]
    return Partner(id_, name, None, tuple(held))


WORKS = partner(1, "Stadtwerke", (Role.EVSE_OPERATOR, "DE8AC"), (Role.EVSP, "DE8AC"))
MAP = partner(2, "Blue Map", (Role.NSP, None))
SELLER = partner(3, "Seller", (Role.EVSP, "DE8AA"), (Role.EVSP, "DE8AB"))
SPOTS = partner(4, "Spots", (Role.PSO, "DE8PS"))
NAMESAKES = [partner(5, "Twin"), partner(6, "TWIN")]
NOTHING = Reference("", None, None)


def refusal(command, *args) -> tuple[str, str, str | None]:
    with pytest.raises(HubError) as error:
        command(*args)
    return error.value.code, error.value.message, error.value.hint


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("Blue Map", Reference("Blue Map", None, None)),
        ("Blue Map:NSP", Reference("Blue Map", Role.NSP, None)),
        ("Stadtwerke:evsp", Reference("Stadtwerke", Role.EVSP, None)),
        ("Stadtwerke:EVSE_OPERATOR:de*8ac", Reference("Stadtwerke", Role.EVSE_OPERATOR, "DE8AC")),
        ("Ratio 1:2", Reference("Ratio 1:2", None, None)),
        ("Ratio 1:2:EVSP:DE-8AC", Reference("Ratio 1:2", Role.EVSP, "DE8AC")),
        ("Blue Map:EVPS", Reference("Blue Map:EVPS", None, None)),
    ],
)
def test_reads_a_partner_with_or_without_role_and_party_id(text, reference):
    assert read_reference(text) == reference


@given(
    st.text(min_size=1).filter(lambda name: ":" not in name),
    st.sampled_from(Role),
    st.from_regex(r"[A-Z]{2}[A-Z0-9]{3}", fullmatch=True),
)
def test_reads_back_whatever_name_it_is_given(name, role, party_id):
    assert read_reference(name) == Reference(name, None, None)
    assert read_reference(f"{name}:{role}:{party_id}") == Reference(name, role, party_id)


def test_refuses_a_party_id_that_cannot_be():
    assert refusal(read_reference, "Stadtwerke:EVSP:")[0] == "INVALID_ID"
    assert refusal(read_role_of, "Stadtwerke", "EVSP:DEUTSCH")[0] == "INVALID_ID"
    assert refusal(read_reference, "")[:2] == ("NOT_FOUND", "there is no partner ''")


@pytest.mark.parametrize(
    ("text", "name"), [("nsp", "NSP"), ("EVSP:DE-8AC", "EVSP DE8AC"), ("evse_operator:fr*a23", "EVSE_OPERATOR FRA23")]
)
def test_reads_a_role(text, name):
    assert str(read_role(text)) == name


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("CPO:DE8AC", "BAD_INPUT", "'CPO' is not a role"),
        ("", "BAD_INPUT", "'' is not a role"),
        ("EVSP", "BAD_INPUT", "EVSP needs a party id"),
        ("NSP:DE8AC", "BAD_INPUT", "NSP has no party id, so 'DE8AC' cannot be one"),
    ],
)
def test_refuses_what_is_no_role(text, code, sentence):
    assert refusal(read_role, text)[:2] == (code, sentence)


def test_says_which_roles_there_are():
    assert refusal(read_role, "CPO")[2] == "one of EVSP:PARTYID, EVSE_OPERATOR:PARTYID, NSP, PSO:PARTYID, ADMINISTRATOR"


@pytest.mark.parametrize("text", ["Blue Map", "blue  map ", "BLUE MAP", str(MAP.id), str(MAP.id).upper()])
def test_finds_a_partner_by_name_in_any_case_or_by_id(text):
    assert choose_partner([WORKS, MAP], text) is MAP


def test_wants_the_whole_name():
    assert refusal(choose_partner, [WORKS, MAP], "Blue") == (
        "NOT_FOUND",
        "there is no partner 'Blue'",
        f"it is named by its whole name or its id; a role may follow it: one of {ROLES_IN_WORDS}",
    )


def test_refuses_a_name_that_several_have_and_gives_their_ids():
    assert refusal(choose_partner, NAMESAKES, "twin") == (
        "AMBIGUOUS",
        f"2 partners are called 'twin': {UUID(int=5)}, {UUID(int=6)}",
        "name it by its id",
    )
    assert choose_partner(NAMESAKES, str(UUID(int=6))) is NAMESAKES[1]


def test_chooses_the_only_role_that_fits():
    assert str(choose_role(MAP, NOTHING).name) == "NSP"
    assert str(choose_role(WORKS, Reference("", Role.EVSP, None)).name) == "EVSP DE8AC"
    assert str(choose_role(SELLER, Reference("", Role.EVSP, "DE8AB")).name) == "EVSP DE8AB"
    assert refusal(choose_role, SELLER, NOTHING)[:2] == (
        "AMBIGUOUS",
        "several roles fit: EVSP DE8AA, EVSP DE8AB of Seller",
    )
    assert refusal(choose_role, SELLER, Reference("", Role.NSP, None))[:2] == (
        "NOT_FOUND",
        "Seller does not hold that role; it holds: EVSP DE8AA, EVSP DE8AB",
    )
    assert refusal(choose_role, NAMESAKES[0], NOTHING)[1] == "Twin does not hold that role; it holds: no role"


def test_chooses_the_only_pair_of_roles_that_fits():
    one, other = choose_pair(SPOTS, NOTHING, WORKS, NOTHING)
    assert (str(one.name), str(other.name)) == ("PSO DE8PS", "EVSE_OPERATOR DE8AC")
    one, other = choose_pair(WORKS, Reference("", Role.EVSE_OPERATOR, None), SELLER, Reference("", None, "DE8AB"))
    assert (str(one.name), str(other.name)) == ("EVSE_OPERATOR DE8AC", "EVSP DE8AB")


def test_counts_a_pair_within_one_partner_once():
    one, other = choose_pair(WORKS, NOTHING, WORKS, NOTHING)
    assert {str(one.name), str(other.name)} == {"EVSE_OPERATOR DE8AC", "EVSP DE8AC"}


def test_refuses_several_pairs_and_none():
    assert refusal(choose_pair, WORKS, NOTHING, MAP, NOTHING)[:2] == (
        "AMBIGUOUS",
        "several pairs of roles fit: EVSE_OPERATOR DE8AC with NSP; EVSP DE8AC with NSP",
    )
    assert refusal(choose_pair, SPOTS, NOTHING, MAP, NOTHING)[:2] == (
        "BAD_INPUT",
        "no roles of Spots (PSO DE8PS) and Blue Map (NSP) fit each other",
    )
    assert refusal(choose_pair, WORKS, Reference("", Role.PSO, None), MAP, NOTHING)[0] == "BAD_INPUT"
