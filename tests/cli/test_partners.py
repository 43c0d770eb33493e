"""The commands on partners, keys and contracts, run as the clearing house operator runs them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from app.cli.partners import contract, key, partner
from app.cli.person import person
from app.cli.verify import verify
from app.errors import BadInput
from app.vocabulary import Role
from tests.cli.running import Run, answer, complaint
from tests.exchange.world import authenticated, enrol, nsp, operator, provider

pytestmark = pytest.mark.process

COMMANDS = [command for group in (partner, key, contract, person) for command in group.commands.values()]


@pytest.fixture
def installed(database_url: str) -> Run:
    """Run `ochub` as a process of its own."""

    def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main(prog_name='ochub')", *words],
            env={**os.environ, "DATABASE_URL": database_url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return lambda *words: asyncio.to_thread(run, words)


async def test_registers_a_partner_and_prints_keys_that_work(database, installed):
    run = await installed(
        "partner", "add", "Stadtwerke", "--role", "EVSE_OPERATOR:de*8ac", "--role", "NSP", "--open", "--json"
    )
    added = answer(run)
    assert [(each["role"], each["partyId"]) for each in added["keys"]] == [("EVSE_OPERATOR", "DE8AC"), ("NSP", None)]
    for each in added["keys"]:
        caller = await authenticated(database, each["secret"])
        assert (str(caller.partner_id), caller.role, caller.party_id) == (
            added["partnerId"],
            each["role"],
            each["partyId"],
        )
    assert [tuple(row) for row in await database.fetch("select party_id, open from operator")] == [("DE8AC", True)]
    [listed] = answer(await installed("partner", "list", "--json"))
    assert listed == {
        "partnerId": added["partnerId"],
        "name": "Stadtwerke",
        "suspended": False,
        "roles": [{"role": "EVSE_OPERATOR", "partyId": "DE8AC"}, {"role": "NSP", "partyId": None}],
    }


async def test_prints_tables_that_break_no_secret(database, ochub):
    run = await ochub("partner", "add", "[red]Map[/red] :+1:", "--role", "NSP")
    [line] = [line for line in run.stdout.splitlines() if "ochub_" in line]
    assert line.split()[:2] == ["NSP", "-"]
    await authenticated(database, line.split()[2])
    listed = (await ochub("partner", "list")).stdout
    assert "[red]Map[/red] :+1:   NSP" in listed
    keys = (await ochub("key", "list", "[RED]map[/red] :+1:")).stdout
    assert "live" in keys
    assert line.split()[2] not in keys


async def test_refuses_in_a_sentence_and_a_hint(database, ochub, installed):
    await provider(database, "DE8AA", "Holder")
    assert complaint(await ochub("partner", "add", "Late", "--role", "CPO:DE8AC")) == [
        "Error: 'CPO' is not a role",
        "Hint: one of EVSP:PARTYID, EVSE_OPERATOR:PARTYID, NSP, PSO:PARTYID, ADMINISTRATOR",
    ]
    [error, hint] = complaint(await ochub("partner", "add", "Late", "--role", "EVSP:DE8AA"))
    assert error.startswith("Error: EVSP DE8AA is held by Holder (")
    assert hint == "Hint: revoke it there first, or choose another party id"
    assert complaint(await installed("key", "revoke", "7")) == ["Error: there is no key '7', or it is not yours to see"]


async def test_suspends_and_resumes_a_partner(database, ochub):
    await nsp(database, "Blue Map")
    assert answer(await ochub("partner", "suspend", "blue map", "--json"))["suspended"] is True
    assert complaint(await ochub("partner", "suspend", "blue map")) == [
        "Error: suspend is not possible while suspended; possible: resume"
    ]
    assert (await ochub("partner", "resume", "Blue Map")).stdout.endswith(" takes part again.\n")


async def test_issues_lists_and_revokes_keys(database, ochub):
    member, _ = await enrol(database, "Seller", (Role.EVSP, "DE8AA"), (Role.EVSP, "DE8AB"))
    assert complaint(await ochub("key", "issue", "Seller"))[0] == (
        "Error: several roles fit: EVSP DE8AA, EVSP DE8AB of Seller"
    )
    issued = answer(await ochub("key", "issue", "Seller", "--role", "EVSP:DE*8AA", "--expires", "2999-01-31", "--json"))
    assert (issued["role"], issued["partyId"], issued["expiresAt"]) == ("EVSP", "DE8AA", "2999-01-31T00:00:00Z")
    assert (await authenticated(database, issued["secret"])).role_id == member.caller.role_id
    assert (
        complaint(await ochub("key", "issue", "Seller", "--role", "EVSP:DE8AA"))[1] == "Hint: revoke one of them first"
    )
    assert answer(await ochub("key", "revoke", issued["keyId"], "--json")) == {"keyId": issued["keyId"]}
    listed = {each["keyId"]: each for each in answer(await ochub("key", "list", "--json"))}
    assert len(listed) == 3
    assert (listed[issued["keyId"]]["status"], listed[str(member.key.id)]["status"]) == ("revoked", "live")
    assert not [each for each in listed.values() if "secret" in each]


async def test_puts_contracts_in_force_lists_and_ends_them(database, ochub):
    await operator(database, "DE8AC", "Stadtwerke")
    await nsp(database, "Blue Map")
    since = "2999-01-31T01:00:00+01:00"
    added = answer(await ochub("contract", "add", "Stadtwerke", "blue map:NSP", "--since", since, "--json"))
    assert (added["status"], added["validFrom"], added["validUntil"]) == ("ACTIVE", "2999-01-31T00:00:00Z", None)
    assert [(each["name"], each["role"], each["partyId"]) for each in added["parties"]] == [
        ("Stadtwerke", "EVSE_OPERATOR", "DE8AC"),
        ("Blue Map", "NSP", None),
    ]
    assert complaint(await ochub("contract", "add", "Stadtwerke", "Blue Map")) == [
        "Error: set is not possible while active; possible: suspend, end",
        f"Hint: it is contract {added['contractId']}",
    ]
    assert "EVSE_OPERATOR DE8AC of Stadtwerke   NSP of Blue Map   ACTIVE" in (await ochub("contract", "list")).stdout
    assert (await ochub("contract", "end", added["contractId"])).stdout == f"Contract {added['contractId']} is ended.\n"
    [listed] = answer(await ochub("contract", "list", "--json"))
    assert (listed["contractId"], listed["status"]) == (added["contractId"], "ENDED")


@pytest.mark.parametrize("text", ["tomorrow", "2027-02-30", "2027-01-31T12:00:00", "20270131", "2027-01-31T12:00", ""])
@pytest.mark.parametrize(
    ("command", "option"),
    [((key, ["issue", "Blue Map"]), "--expires"), ((contract, ["add", "Blue Map", "Stadtwerke"]), "--since")],
)
def test_refuses_a_date_that_cannot_be_read(command, option, text):
    group, words = command
    result = CliRunner().invoke(group, [*words, option, text])
    assert isinstance(result.exception, BadInput)
    assert result.exception.message == (
        f"{option} is {text!r}; expected a day like 2027-01-31 or an instant like 2027-01-31T12:00:00Z"
    )


@pytest.mark.parametrize("command", [*COMMANDS, verify], ids=lambda command: command.name)
def test_explains_every_command_with_an_example_and_offers_json(command):
    assert "Example:" in (command.help or "")
    assert "--json" in {option for parameter in command.params for option in parameter.opts}
