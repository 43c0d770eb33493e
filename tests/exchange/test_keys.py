"""Keys: their number, their validity, and the actors that may issue them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from app.auth import hash_secret, new_secret, shown_prefix
from app.errors import HubError, Unauthenticated
from app.exchange.actor import CONSOLE
from app.exchange.keys import LIFETIME, IssuedKey, issue_key, list_keys, revoke_key, rotate_key
from app.exchange.partners import resume_partner, revoke_role, suspend_partner
from app.exchange.roles import Party, RoleName
from app.vocabulary import Role
from tests.exchange.world import (
    administrator,
    audit_of,
    authenticated,
    enrol,
    held_back,
    look,
    nsp,
    operator,
    refused,
    utc_now,
)


async def test_acts_in_the_role_it_was_made_for(database):
    [one, other] = await enrol(database, "Two roles", (Role.EVSP, "DE8AA"), (Role.NSP, None))
    assert (one.caller.role, one.caller.party_id, one.caller.partner_name) == (Role.EVSP, "DE8AA", "Two roles")
    assert (other.caller.role, other.caller.party_id) == (Role.NSP, None)


async def test_keeps_no_secret_anywhere(database):
    member, now = await nsp(database), utc_now()
    rotated = await rotate_key(database, member.caller, None, now)
    for secret in (member.key.secret, rotated.secret):
        for table in ("api_key", "audit_log", "partner", "partner_role"):
            rows = await look(database, f"select {table}::text as row from {table}")
            assert rows
            assert not [row for row in rows if secret in row["row"]]
        assert secret not in repr(member.key) + repr(rotated)
    hashes = {row["secret_hash"] for row in await look(database, "select secret_hash from api_key")}
    assert hashes == {hash_secret(member.key.secret), hash_secret(rotated.secret)}


async def test_refuses_a_third_live_key_of_a_role(database):
    member, now = await operator(database), utc_now()
    second = await issue_key(database, CONSOLE, member.party, None, now)
    first_prefix, second_prefix = shown_prefix(member.key.secret), shown_prefix(second.secret)
    assert await refused(issue_key(database, CONSOLE, member.party, None, now)) == (
        "TOO_MANY_KEYS",
        (
            f"EVSE_OPERATOR DE8AC of Operator has 2 live keys already: "
            f"{first_prefix}... ({member.key.id}) and {second_prefix}... ({second.id})"
        ),
    )


async def test_counts_neither_revoked_nor_expired_keys(database):
    member, now = await nsp(database), utc_now()
    await issue_key(database, CONSOLE, member.party, now + timedelta(hours=1), now)
    later = now + timedelta(hours=1)
    third = await issue_key(database, CONSOLE, member.party, None, later)
    await revoke_key(database, CONSOLE, third.id, later)
    await issue_key(database, CONSOLE, member.party, None, later)
    assert (await refused(issue_key(database, CONSOLE, member.party, None, later)))[0] == "TOO_MANY_KEYS"


async def test_counts_the_keys_of_each_role_apart(database):
    one, other = await enrol(database, "Two roles", (Role.EVSP, "DE8AA"), (Role.NSP, None))
    for member in (one, other):
        await issue_key(database, CONSOLE, member.party, None, utc_now())


async def test_holds_the_limit_under_parallel_issue(database, database_url):
    member = await nsp(database)
    parallel = [issue_key(database, CONSOLE, member.party, None, utc_now()) for _ in range(6)]
    # The share lock on the role keeps each command from counting keys before it holds the role alone.
    answers = await held_back(database_url, "select from partner_role for share", parallel)
    assert sum(isinstance(answer, IssuedKey) for answer in answers) == 1
    assert [answer.code for answer in answers if isinstance(answer, HubError)] == ["TOO_MANY_KEYS"] * 5
    assert len(await list_keys(database, CONSOLE)) == 2


async def test_would_notice_if_the_role_were_not_locked(database, database_url):
    """The twin of the test above: both count before either has inserted, and both find room."""
    member, now = await nsp(database), utc_now()

    async def issue_without_locking(connection) -> None:
        live = await connection.fetchval("select count(*) from api_key where role_id = $1", member.caller.role_id)
        assert live < 2
        await connection.execute("select pg_advisory_xact_lock_shared(1)")
        await connection.execute(
            """
            insert into api_key (role_id, partner_id, prefix, secret_hash, created_at) values ($1, $2, '', $3, $4)
            """,
            member.caller.role_id,
            member.party.partner_id,
            hash_secret(new_secret()),
            now,
        )

    broken = [database.write(issue_without_locking, administrator=True) for _ in range(2)]
    await held_back(database_url, "select pg_advisory_xact_lock(1)", broken)
    assert len(await list_keys(database, CONSOLE)) == 3


async def test_makes_no_key_for_a_role_that_is_just_going(database, database_url):
    member = await nsp(database)
    going = f"update partner_role set revoked_at = now() where id = {member.caller.role_id}"
    [issued, rotated] = await held_back(
        database_url,
        going,
        [
            issue_key(database, CONSOLE, member.party, None, utc_now()),
            rotate_key(database, member.caller, None, utc_now()),
        ],
    )
    assert str(issued) == f"there is no role {member.party}, or it is not yours to see"
    assert str(rotated) == "this key is expired or revoked"
    assert len(await list_keys(database, CONSOLE)) == 1


async def test_lives_a_year_unless_told_otherwise(database):
    member, now = await nsp(database), utc_now()
    assert (await issue_key(database, CONSOLE, member.party, None, now)).expires_at == now + LIFETIME


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=-1)])
async def test_refuses_an_expiry_that_is_not_in_the_future(database, ahead):
    member, now = await nsp(database), utc_now()
    sentence = f"a key that expires at {(now + ahead).isoformat()} is of no use at {now.isoformat()}"
    assert await refused(issue_key(database, CONSOLE, member.party, now + ahead, now)) == ("BAD_INPUT", sentence)
    assert await refused(rotate_key(database, member.caller, now + ahead, now)) == ("BAD_INPUT", sentence)
    assert len(await list_keys(database, CONSOLE)) == 1


async def test_stops_authenticating_when_it_expires(database):
    member, then = await nsp(database), utc_now() - timedelta(days=2)
    live = await issue_key(database, CONSOLE, member.party, then + timedelta(days=3), then)
    await authenticated(database, live.secret)
    await revoke_key(database, CONSOLE, live.id, then)
    expired = await issue_key(database, CONSOLE, member.party, then + timedelta(days=1), then)
    with pytest.raises(Unauthenticated):
        await authenticated(database, expired.secret)


async def test_stops_authenticating_when_it_is_revoked(database):
    member = await nsp(database)
    assert await revoke_key(database, CONSOLE, member.key.id, utc_now()) == member.key.id
    with pytest.raises(Unauthenticated):
        await authenticated(database, member.key.secret)
    assert await refused(revoke_key(database, CONSOLE, member.key.id, utc_now())) == (
        "NOT_POSSIBLE",
        "revoke is not possible while revoked; possible: nothing",
    )


async def test_stops_authenticating_while_its_partner_is_suspended(database):
    member = await nsp(database)
    await suspend_partner(database, CONSOLE, member.party.partner_id, utc_now())
    with pytest.raises(Unauthenticated) as error:
        await authenticated(database, member.key.secret)
    assert error.value.message == "this key is unknown, expired or revoked, or its partner is suspended"
    await resume_partner(database, CONSOLE, member.party.partner_id, utc_now())
    await authenticated(database, member.key.secret)


async def test_stops_authenticating_with_its_role(database):
    one, other = await enrol(database, "Two roles", (Role.EVSP, "DE8AA"), (Role.NSP, None))
    await revoke_role(database, CONSOLE, one.party.partner_id, one.party.name, utc_now())
    with pytest.raises(Unauthenticated):
        await authenticated(database, one.key.secret)
    await authenticated(database, other.key.secret)


async def test_keeps_the_key_used_to_rotate_and_revokes_the_other(database):
    member = await nsp(database)
    lost = await rotate_key(database, member.caller, None, utc_now())
    again = await rotate_key(database, member.caller, None, utc_now())
    await authenticated(database, member.key.secret)
    with pytest.raises(Unauthenticated):
        await authenticated(database, lost.secret)
    new = await rotate_key(database, await authenticated(database, again.secret), None, utc_now())
    with pytest.raises(Unauthenticated):
        await authenticated(database, member.key.secret)
    for key in (again, new):
        await authenticated(database, key.secret)
    assert await audit_of(database, lost.id) == ["rotateApiKey", "revokeApiKey"]


async def test_rotates_no_key_that_was_revoked_meanwhile(database):
    member = await nsp(database)
    await revoke_key(database, CONSOLE, member.key.id, utc_now())
    assert await refused(rotate_key(database, member.caller, None, utc_now())) == (
        "UNAUTHENTICATED",
        "this key is expired or revoked",
    )
    assert len(await list_keys(database, CONSOLE)) == 1


async def test_lets_only_the_administrator_issue_and_revoke(database):
    member, chief = await operator(database), await administrator(database)
    for command, words in (
        (issue_key(database, member.caller, member.party, None, utc_now()), "issue key"),
        (revoke_key(database, member.caller, member.key.id, utc_now()), "revoke key"),
        (revoke_key(database, member.caller, uuid4(), utc_now()), "revoke key"),
    ):
        sentence = f"{words} is for the administrator; this key acts as EVSE_OPERATOR DE8AC"
        assert await refused(command) == ("FORBIDDEN", sentence)
    await issue_key(database, chief.caller, member.party, None, utc_now())
    await revoke_key(database, chief.caller, member.key.id, utc_now())


async def test_finds_no_key_and_no_role_that_is_not_there(database):
    nobody, key_id = Party(uuid4(), RoleName(Role.NSP, None)), uuid4()
    assert await refused(issue_key(database, CONSOLE, nobody, None, utc_now())) == (
        "NOT_FOUND",
        f"there is no role {nobody}, or it is not yours to see",
    )
    assert await refused(revoke_key(database, CONSOLE, key_id, utc_now())) == (
        "NOT_FOUND",
        f"there is no key {key_id}, or it is not yours to see",
    )


async def test_lists_a_partner_its_own_keys_only(database):
    one, other = await nsp(database, "One"), await nsp(database, "Other")
    assert [key.id for key in await list_keys(database, one.caller)] == [one.key.id]
    assert await list_keys(database, one.caller, other.party.partner_id) == ()
    assert {key.id for key in await list_keys(database, CONSOLE)} == {one.key.id, other.key.id}
    [key] = await list_keys(database, CONSOLE, one.party.partner_id)
    assert (key.prefix, key.is_live(utc_now()), str(key.role)) == (shown_prefix(one.key.secret), True, "NSP of One")
