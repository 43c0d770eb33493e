"""From a key to a verified caller: what looks like one, which are good, and how soon one is no longer."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import auth
from app.auth import Keys, hash_secret, looks_like_a_secret, new_secret, shown_prefix
from app.db.engine import Database
from app.errors import Unauthenticated
from app.exchange.actor import CONSOLE
from app.exchange.keys import issue_key, revoke_key
from app.exchange.partners import enrol_partner, revoke_role, suspend_partner
from app.exchange.roles import Party, RoleName
from app.vocabulary import Role

SECRETS = st.builds(lambda _: new_secret(), st.integers())
NSP = RoleName(Role.NSP, None)


def utc_now() -> datetime:
    return datetime.now(UTC)


# ---------------------------------------------------------------- secrets


def test_makes_secrets_that_are_all_different() -> None:
    assert len({new_secret() for _ in range(1000)}) == 1000


@given(SECRETS)
def test_knows_its_own_secrets(secret: str) -> None:
    assert looks_like_a_secret(secret)
    assert secret.startswith("ochub_")
    assert secret.isascii()


@given(SECRETS, st.integers(0, 43), st.characters())
def test_notices_a_character_that_is_wrong(secret: str, at: int, character: str) -> None:
    mistyped = secret[:at] + character + secret[at + 1 :]
    assert looks_like_a_secret(mistyped) == (mistyped == secret)


@given(SECRETS, st.integers(0, 42))
def test_notices_two_characters_that_changed_places(secret: str, at: int) -> None:
    mistyped = secret[:at] + secret[at + 1] + secret[at] + secret[at + 2 :]
    assert looks_like_a_secret(mistyped) == (mistyped == secret)


@given(SECRETS, st.integers(0, 43))
def test_notices_a_character_that_is_missing(secret: str, at: int) -> None:
    assert not looks_like_a_secret(secret[:at] + secret[at + 1 :])


@given(st.text())
def test_takes_no_other_text_for_a_secret(text: str) -> None:
    assert not looks_like_a_secret(text)
    assert not looks_like_a_secret("ochub_" + text)


@given(SECRETS)
def test_shows_too_little_of_a_secret_to_use_it(secret: str) -> None:
    assert secret.startswith(shown_prefix(secret))
    assert len(secret) - len(shown_prefix(secret)) >= 30
    assert secret.encode() not in hash_secret(secret)


# ---------------------------------------------------------------- callers


async def enrolled(database: Database, *roles: RoleName) -> tuple[UUID, list[str]]:
    """Register a partner; give its id and the secret of each role."""
    partner = await enrol_partner(database, CONSOLE, "Wegweiser", roles, utc_now())
    return partner.partner_id, [key.secret for key in partner.keys]


async def is_good(keys: Keys, secret: str) -> bool:
    try:
        return await keys.verify(f"Bearer {secret}") is not None
    except Unauthenticated:
        return False


async def test_says_who_is_behind_a_key_and_in_which_role(database: Database) -> None:
    operator = RoleName(Role.EVSE_OPERATOR, "DE8AC")
    partner_id, secrets = await enrolled(database, NSP, operator)
    keys = Keys(database, trusted_s=0)
    callers = [await keys.verify(f"Bearer {secret}") for secret in secrets]
    assert [
        caller and (caller.partner_id, caller.partner_name, caller.role, caller.party_id) for caller in callers
    ] == [
        (partner_id, "Wegweiser", Role.NSP, None),
        (partner_id, "Wegweiser", Role.EVSE_OPERATOR, "DE8AC"),
    ]
    assert all(caller is not None and not caller.is_administrator for caller in callers)
    assert all(secret[12:] not in repr(callers) + repr(keys) for secret in secrets)


async def test_takes_whoever_sends_no_header_for_a_stranger(database: Database) -> None:
    assert await Keys(database, trusted_s=0).verify(None) is None


async def test_refuses_a_key_that_nobody_was_given(database: Database) -> None:
    assert not await is_good(Keys(database, trusted_s=60), new_secret())


@pytest.mark.parametrize(("ends_in_s", "good"), [(60, True), (-1, False)])
async def test_refuses_a_key_past_its_time(database: Database, ends_in_s: int, good: bool) -> None:
    partner_id, _ = await enrolled(database, NSP)
    ends, yesterday = utc_now() + timedelta(seconds=ends_in_s), utc_now() - timedelta(days=1)
    issued = await issue_key(database, CONSOLE, Party(partner_id, NSP), ends, yesterday)
    assert await is_good(Keys(database, trusted_s=0), issued.secret) is good


async def test_refuses_a_key_that_was_revoked_and_no_other(database: Database) -> None:
    partner_id, [first] = await enrolled(database, NSP)
    second = await issue_key(database, CONSOLE, Party(partner_id, NSP), None, utc_now())
    keys = Keys(database, trusted_s=0)
    await revoke_key(database, CONSOLE, second.id, utc_now())
    assert not await is_good(keys, second.secret)
    assert await is_good(keys, first)


async def test_refuses_the_keys_of_a_role_that_was_revoked_and_no_other(database: Database) -> None:
    operator = RoleName(Role.EVSE_OPERATOR, "DE8AC")
    partner_id, [nsp, other] = await enrolled(database, NSP, operator)
    await revoke_role(database, CONSOLE, partner_id, operator, utc_now())
    keys = Keys(database, trusted_s=0)
    assert not await is_good(keys, other)
    assert await is_good(keys, nsp)


async def test_refuses_every_key_of_a_suspended_partner(database: Database) -> None:
    partner_id, secrets = await enrolled(database, NSP, RoleName(Role.EVSP, "DE8AA"))
    await suspend_partner(database, CONSOLE, partner_id, utc_now())
    keys = Keys(database, trusted_s=0)
    assert [await is_good(keys, secret) for secret in secrets] == [False, False]


async def test_trusts_a_key_for_a_while_and_not_longer(database: Database) -> None:
    partner_id, [secret] = await enrolled(database, NSP)
    now_s = 100.0
    keys = Keys(database, trusted_s=5, clock=lambda: now_s)
    assert await is_good(keys, secret)
    await suspend_partner(database, CONSOLE, partner_id, utc_now())
    now_s = 104.9
    assert await is_good(keys, secret), "another process suspended it, and it is still trusted"
    now_s = 105.0
    assert not await is_good(keys, secret)


async def test_forgets_at_once_what_it_is_told_to_forget(database: Database) -> None:
    partner_id, [secret] = await enrolled(database, NSP)
    keys = Keys(database, trusted_s=60)
    assert await is_good(keys, secret)
    await suspend_partner(database, CONSOLE, partner_id, utc_now())
    keys.forget()
    assert not await is_good(keys, secret)


async def test_takes_for_new_what_it_never_found_good(database: Database) -> None:
    partner_id, [secret] = await enrolled(database, NSP)
    keys = Keys(database, trusted_s=0)
    assert keys.is_new(f"Bearer {secret}")
    assert not keys.is_new("Bearer ochub_nonsense"), "that is not looked up"
    assert await is_good(keys, secret)
    assert not keys.is_new(f"Bearer {secret}")
    keys.forget()
    assert not keys.is_new(f"bearer  {secret}"), "it is looked up again, but not for the first time"
    await suspend_partner(database, CONSOLE, partner_id, utc_now())
    assert not await is_good(keys, secret)
    assert keys.is_new(f"Bearer {secret}")


async def test_does_not_remember_that_a_key_was_bad(database: Database) -> None:
    """A key that was just issued works at once, also when it was tried before."""
    keys = Keys(database, trusted_s=60)
    assert not await is_good(keys, new_secret())
    _, [secret] = await enrolled(database, NSP)
    assert await is_good(keys, secret)


async def test_remembers_no_more_keys_than_it_may(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "CACHED_KEYS", 2)
    parties = [NSP, *(RoleName(Role.EVSP, f"DE8A{letter}") for letter in "ABCD")]
    _, secrets = await enrolled(database, *parties)
    keys = Keys(database, trusted_s=60)
    for secret in secrets * 2:
        assert await is_good(keys, secret)
        assert len(keys._known) <= 2
