"""The chains of histories, verified at the command line."""

import json

import pytest

from app.exchange.actor import CONSOLE
from app.exchange.contracts import end_contract, set_contract
from tests.cli.running import answer
from tests.exchange.world import nsp, operator, owner, utc_now

TAMPERED = {
    "changed": "update workflow_history set reason = 'another' where no = 1",
    "missing": "delete from workflow_history where no = 2",
}


@pytest.fixture
async def world(database):
    """Two chains of two rows each."""
    one = await operator(database, name="Stadtwerke")
    for name in ("Blue Map", "Red Map"):
        other = await nsp(database, name)
        contract_id = await set_contract(database, CONSOLE, one.party, other.party, utc_now())
        await end_contract(database, CONSOLE, contract_id, utc_now())


async def test_says_how_much_is_intact(world, ochub):
    assert (await ochub("verify")).stdout == "4 rows in 2 chains are as they were written.\n"
    assert answer(await ochub("verify", "--json")) == {"chains": 2, "rows": 4, "tampered": []}


@pytest.mark.parametrize(("problem", "no"), [("changed", 1), ("missing", 2)])
async def test_names_the_first_row_of_each_chain_that_was_tampered_with(world, ochub, database_url, problem, no):
    async with owner(database_url) as connection:
        await connection.execute(TAMPERED[problem])
    run = await ochub("verify", "--json")
    assert (run.returncode, run.stderr) == (1, "")
    found = json.loads(run.stdout)["tampered"]
    pairs = [{each["one"], each["other"]} for each in found]
    assert {frozenset(pair) for pair in pairs} == {frozenset({"Stadtwerke", name}) for name in ("Blue Map", "Red Map")}
    assert [(each["row"], each["problem"]) for each in found] == [(no, problem)] * 2
    run = await ochub("verify")
    assert run.returncode == 1
    assert len([line for line in run.stdout.splitlines() if line.split()[-2:] == [str(no), problem]]) == 2
