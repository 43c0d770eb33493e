"""Which operators a role sees: through contracts in force, for an NSP also through its provider."""

from datetime import timedelta

import pytest

from app.exchange.actor import CONSOLE
from app.exchange.contracts import (
    accept_contract,
    end_contract,
    propose_contract,
    resume_contract,
    set_contract,
    suspend_contract,
)
from app.exchange.partners import resume_partner, suspend_partner
from app.vocabulary import Role
from tests.exchange.world import administrator, enrol, nsp, operator, provider, utc_now, visible_operators


async def chain(database):
    """An NSP with a contract with a provider, and that with one operator of two."""
    map_, seller, seen = await nsp(database), await provider(database), await operator(database, "DE111", "Seen")
    await operator(database, "DE222", "Unseen")
    first = await set_contract(database, CONSOLE, map_.party, seller.party, utc_now())
    second = await set_contract(database, CONSOLE, seller.party, seen.party, utc_now())
    return map_, seller, seen, first, second


async def test_shows_an_nsp_what_its_provider_has_a_contract_for(database):
    map_, seller, seen, *_ = await chain(database)
    assert [await visible_operators(database, who) for who in (map_, seller, seen)] == [{"DE111"}] * 3


@pytest.mark.parametrize("link", [0, 1])
async def test_breaks_the_chain_while_a_contract_of_it_is_suspended(database, link):
    map_, seller, _, *contracts = await chain(database)
    await suspend_contract(database, CONSOLE, contracts[link], utc_now())
    assert await visible_operators(database, map_) == set()
    assert await visible_operators(database, seller) == ({"DE111"} if link == 0 else set())
    await resume_contract(database, CONSOLE, contracts[link], utc_now())
    assert await visible_operators(database, map_) == {"DE111"}
    await end_contract(database, CONSOLE, contracts[link], utc_now())
    assert await visible_operators(database, map_) == set()


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_breaks_the_chain_while_a_partner_of_it_is_suspended(database, place):
    *members, _, _ = await chain(database)
    suspended = members[place].party.partner_id
    await suspend_partner(database, CONSOLE, suspended, utc_now())
    assert await visible_operators(database, members[0]) == set()
    assert await visible_operators(database, members[1]) == ({"DE111"} if place == 0 else set())
    await resume_partner(database, CONSOLE, suspended, utc_now())
    assert await visible_operators(database, members[0]) == {"DE111"}


async def test_chains_for_nsps_only_and_through_providers_only(database):
    _, _, seen, *_ = await chain(database)
    other = await provider(database, "DE333", "Other provider")
    spots = (await enrol(database, "Spots", (Role.PSO, "DE444")))[0]
    far = await operator(database, "DE555", "Far")
    await set_contract(database, CONSOLE, other.party, seen.party, utc_now())
    await set_contract(database, CONSOLE, spots.party, seen.party, utc_now())
    await set_contract(database, CONSOLE, other.party, far.party, utc_now())
    # Two steps away from each of them lies DE555, and none of them may see it by that.
    assert await visible_operators(database, seen) == {"DE111"}
    assert await visible_operators(database, spots) == {"DE111"}
    assert await visible_operators(database, other) == {"DE111", "DE555"}


async def test_does_not_lend_an_nsp_the_sight_of_another_nsp(database):
    _, seller, seen, *_ = await chain(database)
    other = await nsp(database, "Other map")
    assert await visible_operators(database, other) == set()
    await set_contract(database, CONSOLE, other.party, seen.party, utc_now())
    assert await visible_operators(database, other) == {"DE111"}
    assert await visible_operators(database, seller) == {"DE111"}


@pytest.mark.parametrize("link", [0, 1])
async def test_waits_until_every_contract_of_the_chain_is_valid(database, link):
    map_, seller, seen = await nsp(database), await provider(database), await operator(database, "DE111")
    pairs = [(map_.party, seller.party), (seller.party, seen.party)]
    now = utc_now()
    for number, pair in enumerate(pairs):
        since = now + timedelta(hours=1) if number == link else now - timedelta(hours=1)
        await set_contract(database, CONSOLE, *pair, now=now, since=since)
    assert await visible_operators(database, map_) == set()


async def test_sees_nothing_through_a_proposal(database):
    map_, seen = await nsp(database), await operator(database, "DE111")
    contract_id = await propose_contract(database, map_.caller, map_.party, seen.party, utc_now())
    assert await visible_operators(database, map_) == set()
    await accept_contract(database, seen.caller, contract_id, utc_now())
    assert await visible_operators(database, map_) == {"DE111"}


async def test_shows_the_administrator_every_operator(database):
    *_, _first, _second = await chain(database)
    assert await visible_operators(database, await administrator(database)) == {"DE111", "DE222"}
