"""A driver's request finds the CDRs of a contract, and leaves them whole."""

from app.exchange.actor import CONSOLE
from app.exchange.authorisation.erasure import erase_personal_data, list_personal_data
from tests.exchange.cdrs.world import CONTRACTS, EVSE, World, cdr
from tests.exchange.world import look, utc_now


async def test_lists_and_keeps_cdrs(world: World):
    await world.add(cdr())
    held = await list_personal_data(world.database, CONSOLE, CONTRACTS[0], utc_now())
    assert [(row["cdr_id"], row["evse_id"], row["status"]) for row in held.cdrs] == [("DE8AC1", EVSE, "ACCEPTED")]
    before = await look(world.database, "select * from cdr_content")
    first = await erase_personal_data(world.database, CONSOLE, CONTRACTS[0], utc_now())
    again = await erase_personal_data(world.database, CONSOLE, CONTRACTS[0], utc_now())
    assert (first.tokens, first.cdrs, again.id, again.cdrs) == (1, 1, None, 1)
    assert await look(world.database, "select * from cdr_content") == before
    assert not (await list_personal_data(world.database, CONSOLE, CONTRACTS[1], utc_now())).cdrs


async def test_reviews_a_cdr_whose_token_was_erased(world: World):
    """It may be declined and revised as before; its new revision needs a token that is known."""
    await world.add(cdr())
    await erase_personal_data(world.database, CONSOLE, CONTRACTS[0], utc_now())
    assert (await world.decline()).accepted == 1
    assert (await world.add(cdr(status="REJECTED"))).accepted == 1
