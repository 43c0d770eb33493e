"""Contracts: every event in every state by everybody, against a table written down once more here."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest

from app.db.engine import Database
from app.errors import NotFound
from app.exchange.actor import CONSOLE, Actor
from app.exchange.contracts import (
    CONTRACT_WORKFLOW,
    PAIRS,
    accept_contract,
    decline_contract,
    end_contract,
    is_pair,
    list_contracts,
    propose_contract,
    resume_contract,
    set_contract,
    suspend_contract,
)
from app.exchange.partners import grant_role, revoke_role, suspend_partner
from app.exchange.roles import Party, RoleName
from app.exchange.workflow import ADMINISTRATOR, next_state
from app.vocabulary import ContractStatus, Role
from tests.exchange.world import (
    administrator,
    audit_of,
    enrol,
    held_back,
    look,
    nsp,
    operator,
    provider,
    refused,
    status_of,
    utc_now,
)

COMMANDS = {
    "accept": accept_contract,
    "decline": decline_contract,
    "suspend": suspend_contract,
    "resume": resume_contract,
    "end": end_contract,
}
STATES = ("PROPOSED", "DECLINED", "ACTIVE", "SUSPENDED", "ENDED")
WHO = ("proposer", "answerer", "administrator", "console")

#: state -> event -> (new state, who may). In SUSPENDED the proposer is the one that suspended.
EXPECTED = {
    "PROPOSED": {
        "accept": ("ACTIVE", {"answerer", "administrator", "console"}),
        "decline": ("DECLINED", {"answerer", "administrator", "console"}),
        "end": ("ENDED", set(WHO)),
    },
    "ACTIVE": {"suspend": ("SUSPENDED", set(WHO)), "end": ("ENDED", set(WHO))},
    "SUSPENDED": {"resume": ("ACTIVE", {"proposer", "administrator", "console"}), "end": ("ENDED", set(WHO))},
    "DECLINED": {},
    "ENDED": {},
}
ON_THE_WAY = {
    "PROPOSED": [],
    "DECLINED": [("answerer", "decline")],
    "ACTIVE": [("answerer", "accept")],
    "SUSPENDED": [("answerer", "accept"), ("proposer", "suspend")],
    "ENDED": [("answerer", "accept"), ("proposer", "end")],
}


async def contract_in(database: Database, state: str, actors: Mapping[str, Actor], pair: tuple[Party, Party]) -> UUID:
    contract_id = await propose_contract(database, actors["proposer"], *pair, utc_now())
    for who, event in ON_THE_WAY[state]:
        await COMMANDS[event](database, actors[who], contract_id, utc_now())
    assert await status_of(database, contract_id) == state
    return contract_id


@pytest.mark.parametrize("state", STATES)
async def test_refuses_every_event_that_is_not_listed_for_the_state_and_the_actor(database, state):
    one, other, chief = await nsp(database), await operator(database), await administrator(database)
    actors = {"proposer": one.caller, "answerer": other.caller, "administrator": chief.caller, "console": CONSOLE}
    for event, who in product(COMMANDS, WHO):
        contract_id = await contract_in(database, state, actors, (one.party, other.party))
        before = await audit_of(database, contract_id)
        to, allowed = EXPECTED[state].get(event, (None, set()))
        if who in allowed:
            assert await COMMANDS[event](database, actors[who], contract_id, utc_now()) == contract_id
            assert await status_of(database, contract_id) == to
            assert await audit_of(database, contract_id) == [*before, f"{event}Contract"]
        else:
            code, sentence = await refused(COMMANDS[event](database, actors[who], contract_id, utc_now()))
            assert code == ("FORBIDDEN" if to else "NOT_POSSIBLE")
            assert sentence.startswith(f"{event} {'' if to else 'is not possible '}while {state.lower()}")
            assert await status_of(database, contract_id) == state
            assert await audit_of(database, contract_id) == before
        if await status_of(database, contract_id) not in ("DECLINED", "ENDED"):
            await end_contract(database, CONSOLE, contract_id, utc_now())


@pytest.mark.parametrize("state", [state for state in STATES if state not in ("DECLINED", "ENDED")])
async def test_refuses_a_second_open_contract_of_a_pair_from_either_side(database, state):
    one, other = await provider(database), await operator(database)
    actors = {"proposer": one.caller, "answerer": other.caller}
    contract_id = await contract_in(database, state, actors, (one.party, other.party))
    code, sentence = await refused(propose_contract(database, one.caller, one.party, other.party, utc_now()))
    assert (code, sentence.split(";")[0]) == ("NOT_POSSIBLE", f"propose is not possible while {state.lower()}")
    crossing = await refused(propose_contract(database, other.caller, other.party, one.party, utc_now()))
    possible = {"PROPOSED": "accept, decline, end", "ACTIVE": "suspend, end", "SUSPENDED": "end"}[state]
    assert crossing == ("NOT_POSSIBLE", f"propose is not possible while {state.lower()}; possible: {possible}")
    assert await audit_of(database, contract_id) == ["proposeContract", *(f"{e}Contract" for _, e in ON_THE_WAY[state])]


@pytest.mark.parametrize("state", ["DECLINED", "ENDED"])
async def test_lets_a_new_proposal_follow_a_contract_that_is_over(database, state):
    one, other = await provider(database), await operator(database)
    actors = {"proposer": one.caller, "answerer": other.caller}
    over = await contract_in(database, state, actors, (one.party, other.party))
    again = await propose_contract(database, other.caller, other.party, one.party, utc_now())
    assert again != over
    await accept_contract(database, one.caller, again, utc_now())
    assert [await status_of(database, over), await status_of(database, again)] == [state, "ACTIVE"]


async def test_says_what_happened_and_what_is_possible(database):
    one, other = await nsp(database), await operator(database)
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    assert await refused(accept_contract(database, one.caller, contract_id, utc_now())) == (
        "FORBIDDEN",
        "accept while proposed is for the side it was proposed to or the administrator; possible: end",
    )
    assert await refused(resume_contract(database, other.caller, contract_id, utc_now())) == (
        "NOT_POSSIBLE",
        "resume is not possible while proposed; possible: accept, decline, end",
    )
    await accept_contract(database, other.caller, contract_id, utc_now())
    assert await refused(decline_contract(database, other.caller, contract_id, utc_now())) == (
        "NOT_POSSIBLE",
        "decline is not possible while active; possible: suspend, end",
    )
    await suspend_contract(database, other.caller, contract_id, utc_now())
    assert await refused(resume_contract(database, one.caller, contract_id, utc_now())) == (
        "FORBIDDEN",
        "resume while suspended is for the side that suspended it or the administrator; possible: end",
    )
    await end_contract(database, one.caller, contract_id, utc_now())
    assert await refused(resume_contract(database, other.caller, contract_id, utc_now())) == (
        "NOT_POSSIBLE",
        "resume is not possible while ended; possible: nothing",
    )


async def test_leaves_what_the_administrator_suspended_to_the_administrator(database):
    one, other, chief = await nsp(database), await operator(database), await administrator(database)
    contract_id = await set_contract(database, chief.caller, one.party, other.party, utc_now())
    await suspend_contract(database, chief.caller, contract_id, utc_now())
    for side in (one, other):
        code, _ = await refused(resume_contract(database, side.caller, contract_id, utc_now()))
        assert code == "FORBIDDEN"
    await resume_contract(database, CONSOLE, contract_id, utc_now())
    assert await status_of(database, contract_id) == "ACTIVE"


async def test_forgets_who_suspended_once_it_is_resumed(database):
    one, other = await nsp(database), await operator(database)
    contract_id = await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    for side, opposite in ((one, other), (other, one)):
        await suspend_contract(database, side.caller, contract_id, utc_now())
        assert (await refused(resume_contract(database, opposite.caller, contract_id, utc_now())))[0] == "FORBIDDEN"
        await resume_contract(database, side.caller, contract_id, utc_now())


async def test_makes_contracts_between_the_listed_pairs_of_roles_only(database):
    party_ids = {Role.EVSP: "DE111", Role.EVSE_OPERATOR: "DE222", Role.PSO: "DE333"}
    ours = dict(zip(Role, await enrol(database, "One", *((r, party_ids.get(r)) for r in Role)), strict=True))
    foreign = {Role.EVSP: "FR111", Role.EVSE_OPERATOR: "FR222", Role.PSO: "FR333"}
    theirs = dict(zip(Role, await enrol(database, "Other", *((r, foreign.get(r)) for r in Role)), strict=True))
    listed = {
        ("EVSP", "EVSE_OPERATOR"),
        ("NSP", "EVSE_OPERATOR"),
        ("NSP", "EVSP"),
        ("PSO", "EVSE_OPERATOR"),
    }
    for one, other in product(Role, Role):
        command = set_contract(database, CONSOLE, ours[one].party, theirs[other].party, utc_now())
        if (one, other) in listed or (other, one) in listed:
            await command
        else:
            assert await refused(command) == ("BAD_INPUT", f"there are no contracts between {one} and {other}")
    assert sum(is_pair(*pair) for pair in product(Role, Role)) == 2 * len(listed) == 2 * len(PAIRS)


async def test_refuses_a_pair_that_cannot_be_before_looking_who_is_there(database):
    one = await nsp(database)
    nobody = Party(uuid4(), RoleName(Role.NSP, None))
    there = (await nsp(database, "Other")).party
    answers = {
        await refused(propose_contract(database, one.caller, one.party, who, utc_now())) for who in (nobody, there)
    }
    assert answers == {("BAD_INPUT", "there are no contracts between NSP and NSP")}


async def test_lets_a_key_propose_in_its_own_role_only(database):
    one, sibling = await enrol(database, "Two roles", (Role.EVSP, "DE8AA"), (Role.NSP, None))
    other = await operator(database)
    for own, named in ((one, sibling), (one, Party(uuid4(), one.party.name))):
        party = named if isinstance(named, Party) else named.party
        code, sentence = await refused(propose_contract(database, own.caller, party, other.party, utc_now()))
        assert code == "FORBIDDEN"
        assert sentence == (
            f"{party} cannot propose with this key; it acts as EVSP DE8AA of partner {own.party.partner_id}"
        )


async def test_does_not_let_a_key_propose_for_a_later_grant_of_its_role(database):
    """The key was verified, then its role was revoked and granted again: that is another role now."""
    seller, seen = await provider(database), await operator(database, "DE111")
    await revoke_role(database, CONSOLE, seller.party.partner_id, seller.party.name, utc_now())
    await grant_role(database, CONSOLE, seller.party.partner_id, seller.party.name, utc_now())
    with pytest.raises(NotFound):
        await propose_contract(database, seller.caller, seller.party, seen.party, utc_now())


async def test_answers_every_wrong_counterparty_alike(database):
    one, other = await nsp(database), await operator(database, "DE8AC")
    wrong = [
        Party(uuid4(), other.party.name),
        Party(other.party.partner_id, RoleName(Role.EVSE_OPERATOR, "FR8AC")),
        Party(other.party.partner_id, RoleName(Role.EVSP, "DE8AC")),
        Party(one.party.partner_id, other.party.name),
    ]
    for party in wrong:
        assert await refused(propose_contract(database, one.caller, one.party, party, utc_now())) == (
            "NOT_FOUND",
            f"there is no role {party}, or it is not yours to see",
        )


async def test_answers_a_foreign_contract_as_one_that_is_not_there(database):
    one, other, stranger = await nsp(database), await operator(database), await nsp(database, "Stranger")
    contract_id = await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    for command in COMMANDS.values():
        foreign = await refused(command(database, stranger.caller, contract_id, utc_now()))
        absent_id = uuid4()
        absent = await refused(command(database, stranger.caller, absent_id, utc_now()))
        assert foreign == ("NOT_FOUND", f"there is no contract {contract_id}, or it is not yours to see")
        assert absent == (foreign[0], foreign[1].replace(str(contract_id), str(absent_id)))
    assert await status_of(database, contract_id) == "ACTIVE"


async def test_binds_the_key_of_another_role_of_the_same_partner(database):
    one, sibling = await enrol(database, "Two roles", (Role.EVSP, "DE8AA"), (Role.NSP, None))
    other = await operator(database)
    contract_id = await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    assert await refused(end_contract(database, sibling.caller, contract_id, utc_now())) == (
        "FORBIDDEN",
        "this contract is between EVSP DE8AA of Two roles and EVSE_OPERATOR DE8AC of Operator; this key acts as NSP",
    )


async def test_lets_only_the_other_role_accept_where_one_partner_holds_both(database):
    one, other = await enrol(database, "Both", (Role.EVSP, "DE8AA"), (Role.EVSE_OPERATOR, "DE8AC"))
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    assert (await refused(accept_contract(database, one.caller, contract_id, utc_now())))[0] == "FORBIDDEN"
    await accept_contract(database, other.caller, contract_id, utc_now())
    assert await status_of(database, contract_id) == "ACTIVE"


async def test_lets_only_the_administrator_set_contracts(database):
    one, other = await nsp(database), await operator(database)
    assert await refused(set_contract(database, one.caller, one.party, other.party, utc_now())) == (
        "FORBIDDEN",
        "set contract is for the administrator; this key acts as NSP",
    )


async def test_puts_in_force_what_the_administrator_proposes(database):
    one, other, chief = await nsp(database), await operator(database), await administrator(database)
    contract_id = await propose_contract(database, chief.caller, one.party, other.party, utc_now())
    assert await status_of(database, contract_id) == "ACTIVE"
    assert await audit_of(database, contract_id) == ["setContract"]


async def test_takes_a_proposal_as_accepted_when_the_administrator_sets_it(database):
    one, other = await nsp(database), await operator(database)
    proposed = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    assert await set_contract(database, CONSOLE, other.party, one.party, utc_now()) == proposed
    assert await refused(set_contract(database, CONSOLE, one.party, other.party, utc_now())) == (
        "NOT_POSSIBLE",
        "set is not possible while active; possible: suspend, end",
    )


async def test_keeps_validity_as_a_half_open_interval(database):
    one, other, now = await nsp(database), await operator(database), utc_now()
    begin, end = now - timedelta(days=2), now - timedelta(days=1)
    validity = "select valid_from, valid_until from contract where id = $1"
    contract_id = await propose_contract(database, one.caller, one.party, other.party, begin - timedelta(days=1))
    assert tuple((await look(database, validity, contract_id))[0]) == (None, None)
    await accept_contract(database, other.caller, contract_id, begin)
    await suspend_contract(database, one.caller, contract_id, begin + timedelta(hours=1))
    await resume_contract(database, one.caller, contract_id, begin + timedelta(hours=2))
    assert tuple((await look(database, validity, contract_id))[0]) == (begin, None)
    await end_contract(database, other.caller, contract_id, end)
    assert tuple((await look(database, validity, contract_id))[0]) == (begin, end)


async def test_leaves_no_validity_to_a_contract_ended_before_it_began(database):
    one, other, now = await nsp(database), await operator(database), utc_now()
    since = now + timedelta(days=1)
    contract_id = await set_contract(database, CONSOLE, one.party, other.party, now, since)
    await end_contract(database, CONSOLE, contract_id, now)
    [row] = await look(database, "select valid_from, valid_until from contract where id = $1", contract_id)
    assert tuple(row) == (since, since)
    withdrawn = await propose_contract(database, one.caller, one.party, other.party, now)
    await end_contract(database, one.caller, withdrawn, now)
    [row] = await look(database, "select valid_from, valid_until from contract where id = $1", withdrawn)
    assert tuple(row) == (None, None)


async def test_lets_a_suspended_partner_be_proposed_to_without_telling(database):
    one, other = await nsp(database), await operator(database)
    await suspend_partner(database, CONSOLE, other.party.partner_id, utc_now())
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    assert await status_of(database, contract_id) == "PROPOSED"


async def test_lists_to_each_side_its_own_contracts_and_to_the_administrator_all(database):
    one, two, other = await nsp(database, "One"), await nsp(database, "Two"), await operator(database)
    first = await set_contract(database, CONSOLE, one.party, other.party, utc_now())
    second = await propose_contract(database, two.caller, two.party, other.party, utc_now())
    seen = {who: [c.id for c in await list_contracts(database, actor)] for who, actor in (
        ("one", one.caller), ("two", two.caller), ("other", other.caller), ("console", CONSOLE)
    )}  # fmt: skip
    assert seen == {"one": [first], "two": [second], "other": [second, first], "console": [second, first]}
    proposed = await list_contracts(database, other.caller, [ContractStatus.PROPOSED])
    assert [(c.id, str(c)) for c in proposed] == [(second, "NSP of Two and EVSE_OPERATOR DE8AC of Operator")]


async def test_tells_both_partners_of_every_change_and_nobody_else(database):
    one, other, stranger = await nsp(database), await operator(database), await nsp(database, "Stranger")
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    await accept_contract(database, other.caller, contract_id, utc_now())
    entries = "select actor_role_id, action, details from audit_log where subject = 'contract' order by id"
    told = [await database.fetch_private(member.party.partner_id, False, entries) for member in (one, other, stranger)]
    assert told[0] == told[1]
    assert [row["actor_role_id"] for row in told[0]] == [one.caller.role_id, other.caller.role_id]
    assert told[0][1]["details"]["parties"] == ["NSP of Navigation", "EVSE_OPERATOR DE8AC of Operator"]
    assert [(row["details"]["from"], row["details"]["to"]) for row in told[0]] == [
        (None, "PROPOSED"),
        ("PROPOSED", "ACTIVE"),
    ]
    assert told[2] == []


# At once -------------------------------------------------------------------------------------------------------------


async def at_once(database_url: str, lock: str, commands: list) -> list[str]:
    """Bring all commands to the same row before any may write it; give how each ended."""
    answers = await held_back(database_url, lock, commands)
    return [str(answer) if isinstance(answer, Exception) else "done" for answer in answers]


async def test_lets_one_of_two_acceptances_at_once_win(database, database_url):
    one, other = await nsp(database), await operator(database)
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    acceptances = [accept_contract(database, actor, contract_id, utc_now()) for actor in (other.caller, CONSOLE)]
    ends = await at_once(database_url, "select from contract for update", acceptances)
    assert Counter(ends) == {"done": 1, "accept is not possible while active; possible: suspend, end": 1}
    assert await audit_of(database, contract_id) == ["proposeContract", "acceptContract"]


async def test_lets_one_of_acceptance_and_withdrawal_win(database, database_url):
    one, other = await nsp(database), await operator(database)
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())
    commands = [
        accept_contract(database, other.caller, contract_id, utc_now()),
        decline_contract(database, CONSOLE, contract_id, utc_now()),
    ]
    ends = await at_once(database_url, "select from contract for update", commands)
    assert ends.count("done") == 1
    assert len(await audit_of(database, contract_id)) == 2


async def test_would_notice_if_nothing_were_compared(database, database_url):
    """The twin of the two tests above: judged first, written without comparing, both win."""
    one, other = await nsp(database), await operator(database)
    contract_id = await propose_contract(database, one.caller, one.party, other.party, utc_now())

    async def accept_without_comparing(connection) -> None:
        status = await connection.fetchval("select status from contract where id = $1", contract_id)
        next_state(CONTRACT_WORKFLOW.transitions, status, "accept", {ADMINISTRATOR})
        await connection.execute("update contract set status = 'ACTIVE' where id = $1", contract_id)

    broken = [database.write(accept_without_comparing, administrator=True) for _ in range(2)]
    ends = await at_once(database_url, "select from contract for update", broken)
    assert ends.count("done") == 2


async def test_concludes_nothing_with_a_role_that_is_just_going(database, database_url):
    one, other = await nsp(database), await operator(database)
    going = f"update partner_role set revoked_at = now() where id = {other.caller.role_id}"
    proposal = propose_contract(database, one.caller, one.party, other.party, utc_now())
    assert await at_once(database_url, going, [proposal]) == [
        f"there is no role {other.party}, or it is not yours to see"
    ]
    assert await list_contracts(database, CONSOLE) == ()


async def test_makes_one_contract_of_crossing_proposals(database):
    for attempt in range(5):
        one = await nsp(database, f"Navigation {attempt}")
        other = await operator(database, f"DE{attempt:03}")
        answers = await asyncio.gather(
            propose_contract(database, one.caller, one.party, other.party, utc_now()),
            propose_contract(database, other.caller, other.party, one.party, utc_now()),
            return_exceptions=True,
        )
        made = [answer for answer in answers if isinstance(answer, UUID)]
        assert len(made) == 1
        assert await audit_of(database, made[0]) == ["proposeContract"]
        [error] = [answer for answer in answers if not isinstance(answer, UUID)]
        assert str(error).startswith("propose is not possible while proposed; possible: ")
