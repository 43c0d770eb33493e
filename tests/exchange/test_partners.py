"""Partners, their roles, and the operators that come and go with a role."""

import asyncio
from uuid import UUID, uuid4

import pytest

from app.errors import HubError
from app.exchange.actor import CONSOLE, acting, id_of
from app.exchange.contracts import propose_contract, set_contract
from app.exchange.keys import list_keys
from app.exchange.operators import set_operator_open
from app.exchange.partners import (
    enrol_partner,
    grant_role,
    list_partners,
    register_partner,
    resume_partner,
    revoke_role,
    suspend_partner,
    update_partner,
)
from app.exchange.roles import RoleName, name_role
from app.vocabulary import Role
from tests.exchange.world import (
    add_evse,
    add_register_operator,
    administrator,
    audit_of,
    enrol,
    held_back,
    look,
    nsp,
    operator,
    operator_row,
    provider,
    refused,
    status_of,
    utc_now,
    visible_operators,
)

NSP = RoleName(Role.NSP, None)
OPERATOR = RoleName(Role.EVSE_OPERATOR, "DE8AC")
PROVIDER = RoleName(Role.EVSP, "DE8AC")


async def test_registers_a_partner_with_its_roles(database):
    partner_id = await register_partner(database, CONSOLE, "  Blue \n Map ", [NSP, PROVIDER], utc_now())
    [partner] = await list_partners(database, CONSOLE)
    assert (partner.id, partner.name, partner.suspended_at) == (partner_id, "Blue Map", None)
    assert [role.name for role in partner.roles] == [NSP, PROVIDER]
    [entry] = await look(database, "select * from audit_log")
    assert (entry["action"], entry["subject"], entry["subject_id"]) == ("registerPartner", "partner", str(partner_id))
    assert entry["partner_ids"] == [partner_id]
    assert entry["details"] == {
        "name": "Blue Map",
        "roles": [{"role": "NSP", "partyId": None}, {"role": "EVSP", "partyId": "DE8AC"}],
    }


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "a partner's name has 1 to 200 characters; this one has 0"),
        (" \n\t ", "a partner's name has 1 to 200 characters; this one has 0"),
        ("x" * 201, "a partner's name has 1 to 200 characters; this one has 201"),
        ("a\x00b", "the name 'a\\x00b' holds characters that cannot be printed"),
        ("a\udcffb", "the name 'a\\udcffb' holds characters that cannot be printed"),
    ],
)
async def test_refuses_a_name_that_cannot_be(database, name, sentence):
    partner_id = await register_partner(database, CONSOLE, "Good", [], utc_now())
    assert await refused(register_partner(database, CONSOLE, name, [], utc_now())) == ("BAD_INPUT", sentence)
    assert await refused(update_partner(database, CONSOLE, partner_id, name, utc_now())) == ("BAD_INPUT", sentence)
    assert [partner.name for partner in await list_partners(database, CONSOLE)] == ["Good"]


async def test_registers_all_or_nothing(database):
    holder = (await operator(database, "DE8AC", "Holder")).party.partner_id
    assert await refused(enrol_partner(database, CONSOLE, "Late", [NSP, OPERATOR], utc_now())) == (
        "PARTY_ID_TAKEN",
        f"EVSE_OPERATOR DE8AC is held by Holder ({holder})",
    )
    assert [partner.name for partner in await list_partners(database, CONSOLE)] == ["Holder"]
    assert len(await list_keys(database, CONSOLE)) == 1


async def test_refuses_a_role_named_twice(database):
    assert await refused(register_partner(database, CONSOLE, "Twice", [PROVIDER, NSP, PROVIDER], utc_now())) == (
        "BAD_INPUT",
        "EVSP DE8AC is named twice",
    )


async def test_lets_a_party_id_be_held_once_per_role(database):
    members = await enrol(database, "All", (Role.EVSP, "DE8AC"), (Role.EVSE_OPERATOR, "DE8AC"), (Role.PSO, "DE8AC"))
    late = await register_partner(database, CONSOLE, "Late", [NSP], utc_now())
    for member in members:
        command = grant_role(database, CONSOLE, late, member.party.name, utc_now())
        assert (await refused(command))[0] == "PARTY_ID_TAKEN"
    assert await refused(grant_role(database, CONSOLE, late, NSP, utc_now())) == (
        "NOT_POSSIBLE",
        "grant is not possible: Late holds NSP already",
    )


async def test_gives_a_party_id_to_one_of_several_at_once(database):
    ids = [await register_partner(database, CONSOLE, f"Partner {n}", [], utc_now()) for n in range(6)]
    answers = await asyncio.gather(
        *(grant_role(database, CONSOLE, id_, OPERATOR, utc_now()) for id_ in ids), return_exceptions=True
    )
    [winner] = [answer for answer in answers if isinstance(answer, UUID)]
    losers = {answer.code for answer in answers if isinstance(answer, HubError)}
    assert losers == {"PARTY_ID_TAKEN"}
    [row] = await database.fetch("select partner_id from operator join partner_role on partner_role.id = role_id")
    assert row["partner_id"] == winner


async def test_frees_the_party_id_of_a_revoked_role(database):
    first = await provider(database, "DE8AA", "First")
    await revoke_role(database, CONSOLE, first.party.partner_id, first.party.name, utc_now())
    second = await provider(database, "DE8AA", "Second")
    assert second.caller.role_id != first.caller.role_id


async def test_renames_a_partner_and_its_operators(database):
    member = await operator(database, name="Old")
    partner_id = member.party.partner_id
    for _ in range(2):
        await update_partner(database, CONSOLE, partner_id, "New", utc_now())
    assert (await operator_row(database, "DE8AC"))["name"] == "New"
    assert await audit_of(database, partner_id) == ["registerPartner", "updatePartner"]
    [entry] = await look(database, "select details from audit_log where action = 'updatePartner'")
    assert entry["details"] == {"from": "Old", "to": "New"}


async def test_suspends_and_resumes_a_partner_with_its_operators(database):
    member, bystander = await operator(database, open_=True), await operator(database, "FR8AC", open_=True)
    partner_id = member.party.partner_id
    assert await refused(resume_partner(database, CONSOLE, partner_id, utc_now())) == (
        "NOT_POSSIBLE",
        "resume is not possible while active; possible: suspend",
    )
    await suspend_partner(database, CONSOLE, partner_id, utc_now())
    assert await refused(suspend_partner(database, CONSOLE, partner_id, utc_now())) == (
        "NOT_POSSIBLE",
        "suspend is not possible while suspended; possible: resume",
    )
    assert (await operator_row(database, "DE8AC"))["suspended"] is True
    assert await visible_operators(database, bystander) == {"FR8AC"}
    await resume_partner(database, CONSOLE, partner_id, utc_now())
    assert await visible_operators(database, bystander) == {"FR8AC", "DE8AC"}
    assert await audit_of(database, partner_id) == ["registerPartner", "suspendPartner", "resumePartner"]


async def test_hides_the_operator_granted_to_a_suspended_partner(database):
    partner_id = await register_partner(database, CONSOLE, "Suspended", [], utc_now())
    await suspend_partner(database, CONSOLE, partner_id, utc_now())
    await grant_role(database, CONSOLE, partner_id, OPERATOR, utc_now(), open_=True)
    assert (await operator_row(database, "DE8AC"))["suspended"] is True
    assert await visible_operators(database, await nsp(database)) == set()
    await resume_partner(database, CONSOLE, partner_id, utc_now())
    assert await visible_operators(database, await nsp(database, "Later")) == {"DE8AC"}


async def test_lets_only_the_administrator_look_after_partners(database):
    member, chief = await provider(database), await administrator(database)
    own, nobody, now = member.party.partner_id, uuid4(), utc_now()
    for partner_id in (own, nobody):
        for words, command in (
            ("register partner", register_partner(database, member.caller, "New", [NSP], now)),
            ("register partner", enrol_partner(database, member.caller, "New", [NSP], now)),
            ("update partner", update_partner(database, member.caller, partner_id, "New", now)),
            ("suspend partner", suspend_partner(database, member.caller, partner_id, now)),
            ("resume partner", resume_partner(database, member.caller, partner_id, now)),
            ("grant role", grant_role(database, member.caller, partner_id, NSP, now)),
            ("revoke role", revoke_role(database, member.caller, partner_id, NSP, now)),
        ):
            sentence = f"{words} is for the administrator; this key acts as EVSP DE8AA"
            assert await refused(command) == ("FORBIDDEN", sentence)
    await update_partner(database, chief.caller, own, "New", now)
    [entry] = await look(database, "select actor_role_id from audit_log where action = 'updatePartner'")
    assert entry["actor_role_id"] == chief.caller.role_id


async def test_finds_no_partner_and_no_role_that_is_not_there(database):
    nobody, somebody = uuid4(), (await nsp(database)).party.partner_id
    for command in (
        update_partner(database, CONSOLE, nobody, "New", utc_now()),
        suspend_partner(database, CONSOLE, nobody, utc_now()),
        grant_role(database, CONSOLE, nobody, NSP, utc_now()),
    ):
        assert await refused(command) == ("NOT_FOUND", f"there is no partner {nobody}, or it is not yours to see")
    assert await refused(revoke_role(database, CONSOLE, somebody, PROVIDER, utc_now())) == (
        "NOT_FOUND",
        f"there is no role EVSP DE8AC of partner {somebody}, or it is not yours to see",
    )


async def test_shows_a_partner_itself_only(database):
    one, _ = await nsp(database, "One"), await nsp(database, "Other")
    assert [partner.name for partner in await list_partners(database, one.caller)] == ["One"]
    assert [partner.name for partner in await list_partners(database, CONSOLE)] == ["One", "Other"]


async def test_ends_contracts_and_revokes_keys_of_a_revoked_role_only(database):
    gone, kept = await enrol(database, "Two roles", (Role.EVSP, "DE8AA"), (Role.NSP, None))
    other = await operator(database)
    ended = await set_contract(database, CONSOLE, gone.party, other.party, utc_now())
    standing = await set_contract(database, CONSOLE, kept.party, other.party, utc_now())
    await revoke_role(database, CONSOLE, gone.party.partner_id, gone.party.name, utc_now())
    assert [await status_of(database, ended), await status_of(database, standing)] == ["ENDED", "ACTIVE"]
    live = {key.id for key in await list_keys(database, CONSOLE) if key.is_live(utc_now())}
    assert live == {kept.key.id, other.key.id}
    told = await database.fetch_private(
        other.party.partner_id, False, "select action, details from audit_log order by id desc limit 1"
    )
    assert [tuple(row) for row in told] == [("endContract", {"because": "revokeRole"})]
    assert await audit_of(database, gone.key.id) == ["issueApiKey", "revokeApiKey"]
    code, _ = await refused(propose_contract(database, other.caller, other.party, gone.party, utc_now()))
    assert code == "NOT_FOUND"


# Operators -----------------------------------------------------------------------------------------------------------


async def test_makes_the_operator_of_a_granted_party_id(database):
    member = await operator(database, name="Stadtwerke")
    assert await operator_row(database, "DE8AC") == {
        "name": "Stadtwerke",
        "open": False,
        "suspended": False,
        "source": None,
        "licence": None,
        "role_id": member.caller.role_id,
    }


async def test_takes_over_what_a_register_knew_and_closes_it(database):
    await add_register_operator(database, "DE8AC")
    stranger = await nsp(database)
    assert await visible_operators(database, stranger) == {"DE8AC"}
    member = await operator(database, "DE8AC", "Stadtwerke")
    # The licence of EVSEs that still come from the register asks for source and licence.
    assert await operator_row(database, "DE8AC") == {
        "name": "Stadtwerke",
        "open": False,
        "suspended": False,
        "source": "A register",
        "licence": "A licence",
        "role_id": member.caller.role_id,
    }
    assert await visible_operators(database, stranger) == set()
    assert await visible_operators(database, member) == {"DE8AC"}


async def test_stays_open_when_asked_and_names_no_source_without_evses_of_it(database):
    await add_register_operator(database, "DE8AC", evses=0)
    await operator(database, "DE8AC", open_=True)
    row = await operator_row(database, "DE8AC")
    assert (row["open"], row["source"], row["licence"]) == (True, None, None)


async def test_refuses_to_open_what_is_no_operator(database):
    assert await refused(register_partner(database, CONSOLE, "Blue Map", [NSP], utc_now(), open_=True)) == (
        "BAD_INPUT",
        "only an EVSE_OPERATOR can be open",
    )


async def test_gives_an_operator_back_to_its_register(database):
    await add_register_operator(database, "DE8AC")
    member, stranger = await operator(database, "DE8AC"), await nsp(database)
    await set_contract(database, CONSOLE, member.party, stranger.party, utc_now())
    await revoke_role(database, CONSOLE, member.party.partner_id, member.party.name, utc_now())
    row = await operator_row(database, "DE8AC")
    assert (row["open"], row["suspended"], row["role_id"], row["source"]) == (True, False, None, "A register")


async def test_leaves_an_operator_without_evses_unclaimed_and_closed(database):
    member = await operator(database, "DE8AC")
    await revoke_role(database, CONSOLE, member.party.partner_id, member.party.name, utc_now())
    row = await operator_row(database, "DE8AC")
    assert (row["open"], row["suspended"], row["role_id"], row["source"]) == (False, False, None, None)
    assert await visible_operators(database, await nsp(database)) == set()


@pytest.mark.parametrize("open_", [True, False])
async def test_hides_what_a_partner_uploaded_when_its_role_goes(database, open_):
    await add_register_operator(database, "DE8AC")
    member, partner, chief = (
        await operator(database, "DE8AC", open_=open_),
        await nsp(database),
        await administrator(database),
    )
    await set_contract(database, CONSOLE, member.party, partner.party, utc_now())
    await add_evse(database, "DE8AC", 7)
    assert await visible_operators(database, partner) == {"DE8AC"}
    await revoke_role(database, CONSOLE, member.party.partner_id, member.party.name, utc_now())
    row = await operator_row(database, "DE8AC")
    assert (row["open"], row["suspended"], row["role_id"]) == (False, True, member.caller.role_id)
    assert [await visible_operators(database, who) for who in (partner, member, chief)] == [set(), set(), {"DE8AC"}]
    [count] = await database.fetch("select count(*) from evse")
    assert count["count"] == 2


async def test_hides_what_is_uploaded_while_the_role_goes(database, database_url):
    """An upload locks its operator, as every change of EVSEs must; what it brings must not be opened to everybody."""
    await add_register_operator(database, "DE8AC")
    member = await operator(database, "DE8AC")
    upload = "select from operator for share; update evse set source = null"
    revoked = revoke_role(database, CONSOLE, member.party.partner_id, member.party.name, utc_now())
    assert await held_back(database_url, upload, [revoked]) == [member.party.partner_id]
    row = await operator_row(database, "DE8AC")
    assert (row["open"], row["suspended"], row["role_id"]) == (False, True, member.caller.role_id)


async def test_hands_hidden_evses_to_the_next_holder_of_the_party_id(database):
    first = await operator(database, "DE8AC", "First")
    await add_evse(database, "DE8AC", 7)
    await revoke_role(database, CONSOLE, first.party.partner_id, first.party.name, utc_now())
    await resume_cycle(database, first.party.partner_id)
    second = await operator(database, "DE8AC", "Second")
    row = await operator_row(database, "DE8AC")
    assert (row["name"], row["suspended"], row["role_id"]) == ("Second", False, second.caller.role_id)
    assert [await visible_operators(database, who) for who in (first, second)] == [set(), {"DE8AC"}]


async def resume_cycle(database, partner_id: UUID) -> None:
    """What is hidden because its role is gone must not come back because its former partner is resumed."""
    await suspend_partner(database, CONSOLE, partner_id, utc_now())
    await resume_partner(database, CONSOLE, partner_id, utc_now())
    assert (await operator_row(database, "DE8AC"))["suspended"] is True


async def test_opens_and_closes_an_operator(database):
    member, stranger = await operator(database, "DE8AC"), await nsp(database)
    for open_ in (True, True, False):
        assert await set_operator_open(database, member.caller, "DE8AC", open_, utc_now()) == "DE8AC"
        assert await visible_operators(database, stranger) == ({"DE8AC"} if open_ else set())
    assert await audit_of(database, "DE8AC") == ["setOperatorOpen", "setOperatorOpen"]
    entries = "select details from audit_log where subject = 'operator' order by id"
    told = await database.fetch_private(member.party.partner_id, False, entries)
    assert [row["details"] for row in told] == [{"open": True}, {"open": False}]
    assert await database.fetch_private(stranger.party.partner_id, False, entries) == []


async def test_lets_the_administrator_close_what_a_register_opened(database):
    await add_register_operator(database, "DE8AC")
    await set_operator_open(database, CONSOLE, "DE8AC", False, utc_now())
    assert (await operator_row(database, "DE8AC"))["open"] is False
    assert await refused(set_operator_open(database, CONSOLE, "FR8AC", False, utc_now())) == (
        "NOT_FOUND",
        "there is no operator FR8AC, or it is not yours to see",
    )


async def test_refuses_to_open_another_operator_whether_or_not_it_exists(database):
    await operator(database, "DE8AC")
    members = await enrol(database, "Nosy", (Role.EVSE_OPERATOR, "FR8AC"), (Role.EVSP, "DE8AC"), (Role.NSP, None))
    for member in members:
        for party_id in ("DE8AC", "IT8AC"):
            assert await refused(set_operator_open(database, member.caller, party_id, True, utc_now())) == (
                "FORBIDDEN",
                (
                    f"only EVSE_OPERATOR {party_id} and the administrator open or close it; "
                    f"this key acts as {member.party.name}"
                ),
            )


# Names ---------------------------------------------------------------------------------------------------------------


def test_names_a_role_in_every_spelling_of_its_party_id():
    assert {str(name_role(Role.EVSP, text)) for text in ("DE8AC", "de*8ac", "DE-8AC")} == {"EVSP DE8AC"}


@pytest.mark.parametrize(
    ("role", "party_id", "code", "sentence"),
    [
        (Role.EVSP, None, "BAD_INPUT", "EVSP needs a party id"),
        (Role.NSP, "DE8AC", "BAD_INPUT", "NSP has no party id, so 'DE8AC' cannot be one"),
        (Role.ADMINISTRATOR, "", "BAD_INPUT", "ADMINISTRATOR has no party id, so '' cannot be one"),
        (
            Role.PSO,
            "DEUTSCH",
            "INVALID_ID",
            (
                "'DEUTSCH' is not a party id; expected country (2 letters) and 3 letters or digits, "
                "like DE8AC, DE*8AC or DE-8AC"
            ),
        ),
    ],
)
def test_refuses_a_role_with_the_wrong_party_id(role, party_id, code, sentence):
    with pytest.raises(HubError) as error:
        name_role(role, party_id)
    assert (error.value.code, error.value.message) == (code, sentence)


def test_lets_no_stranger_act():
    with pytest.raises(HubError) as error:
        acting(None)
    assert (error.value.code, error.value.message) == ("UNAUTHENTICATED", "this needs a key, and none was sent")


def test_finds_nothing_under_an_id_that_cannot_be():
    with pytest.raises(HubError) as error:
        id_of("contract", "7\x00")
    assert (error.value.code, error.value.message) == (
        "NOT_FOUND",
        "there is no contract '7\\x00', or it is not yours to see",
    )
