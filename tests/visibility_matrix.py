"""Who sees what, decided slowly: a model in plain Python, and a hub in which every state of it can be set up.

The model knows nothing of SQL and is written from the rules alone. `check` holds what the API shows to every caller
against it; what it finds in a broken hub, it would find in ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID, uuid5

import asyncpg
from hypothesis import strategies as st

from app.auth import hash_secret, new_secret
from app.words import ContractStatus, Role
from tests.hub import Hub, serve

NAMESPACE = UUID(int=7)
LONG_AGO, LONG_HENCE = datetime(2001, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)
OPERATOR, EVSP, NSP, PSO, ADMINISTRATOR = Role.EVSE_OPERATOR, Role.EVSP, Role.NSP, Role.PSO, Role.ADMINISTRATOR


@dataclass(frozen=True)
class Held:
    """A role as the model knows it. `id`: its place below, and its id in the database."""

    id: int
    partner: str
    role: Role
    party_id: str | None

    @property
    def partner_id(self) -> UUID:
        return uuid5(NAMESPACE, self.partner)


#: Aurora runs EVSEs and provides to customers: two roles of one partner that must not lend each other anything.
ROLES = tuple(
    Held(id_, *each)
    for id_, each in enumerate(
        [
            ("Aurora", OPERATOR, "DEAAA"),
            ("Aurora", EVSP, "DEAAA"),
            ("Borealis", OPERATOR, "DEBBB"),
            ("Corona", OPERATOR, "DECCC"),
            ("Dynamo", EVSP, "DEDDD"),
            ("Elektra", NSP, None),
            ("Fulmen", NSP, None),
            ("Galvani", PSO, "DEGGG"),
            ("Hub", ADMINISTRATOR, None),
        ],
        1,
    )
)
#: An operator that a register made: nobody holds it.
UNCLAIMED = "FRRRR"
OPERATORS = (*(each.party_id for each in ROLES if each.role is OPERATOR and each.party_id), UNCLAIMED)
MAY_SUSPEND = sorted({each.partner for each in ROLES if each.role is not ADMINISTRATOR})
PAIRS = {frozenset(pair) for pair in ((EVSP, OPERATOR), (NSP, OPERATOR), (NSP, EVSP), (PSO, OPERATOR))}
CAN_CONTRACT = [
    (a, b) for a, b in combinations(ROLES, 2) if frozenset((a.role, b.role)) in PAIRS and a.partner != b.partner
]


@dataclass(frozen=True)
class Agreement:
    """A contract. `since` and `until` are days from now."""

    first: Held
    second: Held
    status: ContractStatus
    since: int | None
    until: int | None

    @property
    def id(self) -> UUID:
        return uuid5(NAMESPACE, f"{self.first.id} {self.second.id}")

    @property
    def sides(self) -> tuple[Held, Held]:
        return self.first, self.second


@dataclass(frozen=True)
class State:
    """Everything that decides who sees what."""

    open: frozenset[str]
    suspended: frozenset[str]
    contracts: tuple[Agreement, ...]

    # ---- the rules, read from the issue and the reference; no SQL

    def in_force(self, contract: Agreement) -> bool:
        """Active, within its time, and neither side suspended."""
        begun = contract.since is None or contract.since <= 0
        over = contract.until is not None and contract.until <= 0
        rests = any(side.partner in self.suspended for side in contract.sides)
        return contract.status is ContractStatus.ACTIVE and begun and not over and not rests

    def connected(self, one: Held) -> set[Held]:
        return {b if a == one else a for a, b in (c.sides for c in self.contracts if self.in_force(c)) if one in (a, b)}

    def operators_seen_by(self, caller: Held | None) -> set[str]:
        if caller is not None and caller.role is ADMINISTRATOR:
            return set(OPERATORS)
        suspended = {each.party_id for each in ROLES if each.role is OPERATOR and each.partner in self.suspended}
        seen: set[str | None] = {party_id for party_id in self.open if party_id not in suspended}
        if caller is None:
            return {each for each in seen if each}
        if caller.role is OPERATOR:
            seen.add(caller.party_id)
        partners = self.connected(caller)
        if caller.role is NSP:
            partners = partners.union(*(self.connected(each) for each in partners if each.role is EVSP))
        return {each for each in seen | {p.party_id for p in partners if p.role is OPERATOR} if each}

    def contracts_seen_by(self, caller: Held | None) -> set[Agreement]:
        if caller is None:
            return set()
        return {
            contract
            for contract in self.contracts
            if caller.role is ADMINISTRATOR or caller.partner in {side.partner for side in contract.sides}
        }

    def partners_seen_by(self, caller: Held | None) -> set[str]:
        if caller is None:
            return set()
        return {each.partner for each in ROLES} if caller.role is ADMINISTRATOR else {caller.partner}


def _contracts(draw: st.DrawFn) -> Iterator[Agreement]:
    chosen = draw(st.lists(st.sampled_from(CAN_CONTRACT), unique=True, max_size=9))
    for first, second in chosen:
        status = draw(st.sampled_from([ContractStatus.ACTIVE] * 4 + list(ContractStatus)))
        since, until = draw(st.sampled_from([None, None, -2, 2])), draw(st.sampled_from([None, None, -1, 3]))
        if since is not None and until is not None and until < since:
            until = None
        yield Agreement(first, second, status, since, until)


@st.composite
def states(draw: st.DrawFn) -> State:
    """Draw a state: who is open, who rests, and what was agreed."""
    return State(
        frozenset(draw(st.sets(st.sampled_from(OPERATORS), max_size=2))),
        frozenset(draw(st.sets(st.sampled_from(MAY_SUSPEND), max_size=2))),
        tuple(_contracts(draw)),
    )


# ---------------------------------------------------------------- the hub


@dataclass
class Matrix:
    """A hub whose state can be set, and the keys of its callers."""

    hub: Hub
    owner: asyncpg.Connection
    secrets: dict[Held, str]
    evses: dict[str, list[str]] = field(default_factory=dict)

    def execute(self, sql: str, *arguments: Any) -> None:
        self.hub.run(self.owner.execute(sql, *arguments))

    def put(self, state: State) -> None:
        """Bring the database to a state."""
        self.hub.run(self._put(state))

    async def _put(self, state: State) -> None:
        resting = [uuid5(NAMESPACE, partner) for partner in state.suspended]
        async with self.owner.transaction():
            await self.owner.execute("delete from contract")
            await self.owner.executemany(ADD_CONTRACT, [_row(contract) for contract in state.contracts])
            await self.owner.execute("update operator set open = party_id = any($1::text[])", list(state.open))
            await self.owner.execute(
                "update partner set suspended_at = case when id = any($1::uuid[]) then now() end", resting
            )
            await self.owner.execute(
                "update operator set suspended = exists (select from partner_role r where r.id = role_id"
                " and r.partner_id = any($1::uuid[]))",
                resting,
            )


ADD_CONTRACT = """
insert into contract (id, first_role_id, first_partner_id, second_role_id, second_partner_id, proposed_by_role_id,
    status, valid_from, valid_until, created_at, updated_at)
values ($1, $2, $3, $4, $5, $2, $6, $7, $8, now(), now())
"""


def _row(contract: Agreement) -> tuple[Any, ...]:
    now = datetime.now(UTC)
    since, until = (None if day is None else now + timedelta(days=day) for day in (contract.since, contract.until))
    first, second = contract.sides
    return (contract.id, first.id, first.partner_id, second.id, second.partner_id, contract.status.value, since, until)


@contextmanager
def matrix(dsn: str) -> Iterator[Matrix]:
    """Fill an empty database with the model's parties and two EVSEs per operator, and serve it."""
    # A key is looked up for every request, so that a partner that was suspended is refused at once.
    with serve(dsn, key_cache_s=0) as hub:
        owner = hub.run(asyncpg.connect(dsn))
        try:
            made = Matrix(hub, owner, {})
            hub.run(_fill(made))
            yield made
        finally:
            hub.run(owner.close())


async def _fill(made: Matrix) -> None:
    for partner in sorted({each.partner for each in ROLES}):
        await made.owner.execute("insert into partner (id, name) values ($1, $2)", uuid5(NAMESPACE, partner), partner)
    for each in ROLES:
        values = (each.id, each.partner_id, each.role.value, each.party_id)
        await made.owner.execute(ADD_ROLE, *values)
        made.secrets[each] = secret = new_secret()
        key = (
            uuid5(NAMESPACE, secret),
            each.id,
            each.partner_id,
            secret[:12],
            hash_secret(secret),
            LONG_AGO,
            LONG_HENCE,
        )
        await made.owner.execute("insert into api_key values ($1, $2, $3, $4, $5, $6, $7)", *key)
        await made.owner.execute(ADD_REFUSAL, each.partner_id, LONG_AGO)
        await made.owner.execute(ADD_AUDIT, LONG_AGO, each.id, [each.partner_id])
    for number, party_id in enumerate(OPERATORS):
        holder = next((each.id for each in ROLES if each.role is OPERATOR and each.party_id == party_id), None)
        made.evses[party_id] = [f"{party_id}E{n}" for n in range(2)]
        await made.owner.execute(ADD_OPERATOR, party_id, holder)
        for n, evse_id in enumerate(made.evses[party_id]):
            await made.owner.execute(ADD_EVSE, party_id, evse_id, f"L{n}", 7 + number / 1000, 51 + n / 1000)


ADD_ROLE = "insert into partner_role (id, partner_id, role, party_id) overriding system value values ($1, $2, $3, $4)"
ADD_REFUSAL = """
insert into refusal (partner_id, at, operation, path, index, code, message) values ($1, $2, 'o', 'p', 0, 'C', 'm')
"""
ADD_AUDIT = """
insert into audit_log (at, actor_role_id, action, subject, subject_id, details, partner_ids)
values ($1, $2, 'a', 's', 'i', '{}', $3)
"""
ADD_OPERATOR = "insert into operator (party_id, name, role_id) values ($1, $1, $2)"
ADD_EVSE = """
with known as (select no, list_no from operator where party_id = $1), place as (
    insert into location (list_no, operator_no, location_id, longitude, latitude, address, country, location_name,
        location_name_language, location_type, updated_at)
    select list_no, no, $3, $4, $5, 'Weg', 'DEU', $2, 'DEU', 'OTHER', now() from known returning *
)
insert into evse (evse_id, evse_id_as_sent, list_no, operator_no, location_id, longitude, latitude, address, country,
    location_name, location_name_language, location_type, updated_at, charge_point_type, connector_mask,
    connector_standards, connector_formats, connector_tariff_ids, content_hash)
select $2, $2, list_no, operator_no, location_id, longitude, latitude, address, country, location_name,
    location_name_language, location_type, updated_at, 'AC', 1, '{CHADEMO}', '{CABLE}', '{NULL}', '' from place
"""


# ---------------------------------------------------------------- what the API shows, against the model


def check(made: Matrix, state: State) -> None:
    """Bring the hub to a state and ask in everybody's name."""
    made.put(state)
    for caller in (None, *ROLES):
        headers = {} if caller is None else {"Authorization": f"Bearer {made.secrets[caller]}"}
        response = made.hub.post(question(made), headers=headers)
        if caller is not None and caller.partner in state.suspended:
            assert response.status_code == 401, caller
        else:
            answer = response.json()
            assert "errors" not in answer, answer
            check_answer(made, state, caller, answer["data"])


def question(made: Matrix) -> str:
    """Ask for everything in several ways."""
    singles = " ".join(f'{one}: evse(evseId: "{one}") {{ evseId }}' for one, _ in made.evses.values())
    return f"""{{
        listed: evses(first: 500) {{ nodes {{ evseIdAsSent operator {{ partyId }} location {{ name }} }} }}
        near: evses(within: {{ near: {{ latitude: 51, longitude: 7 }} }}) {{ nodes {{ evseIdAsSent }} }}
        boxed: evses(within: {{ bounds: {{ minimumLatitude: 50, minimumLongitude: 6, maximumLatitude: 52,
            maximumLongitude: 8 }} }}) {{ nodes {{ evseIdAsSent }} }}
        named: evses(filter: {{ operatorIds: {str(list(OPERATORS)).replace("'", '"')} }}) {{ nodes {{ evseIdAsSent }} }}
        {singles}
        contracts(first: 500) {{ nodes {{ id status parties {{ name }} }} }}
        partners(first: 500) {{ nodes {{ name roles {{ role }} apiKeys {{ id }} }} }}
        me {{ partner {{ name apiKeys {{ id }} }} contracts {{ id }} }}
        refusals {{ nodes {{ id }} }}
        auditLog {{ nodes {{ by {{ name }} }} }}
    }}"""


def check_answer(made: Matrix, state: State, caller: Held | None, data: dict[str, Any]) -> None:
    operators = state.operators_seen_by(caller)
    visible = sorted(evse_id for party_id in operators for evse_id in made.evses[party_id])
    for way in ("listed", "near", "boxed", "named"):
        assert sorted(node["evseIdAsSent"] for node in data[way]["nodes"]) == visible, (way, caller)
    for node in data["listed"]["nodes"]:
        assert node["operator"]["partyId"] == node["evseIdAsSent"][:5]
        assert node["location"]["name"] == node["evseIdAsSent"]
    for one, _ in made.evses.values():
        assert (data[one] is not None) == (one in visible), (one, caller)
    check_private(state, caller, data)


def check_private(state: State, caller: Held | None, data: dict[str, Any]) -> None:
    contracts = {UUID(node["id"]): node for node in data["contracts"]["nodes"]}
    expected = state.contracts_seen_by(caller)
    assert contracts.keys() == {contract.id for contract in expected}, caller
    for contract in expected:
        shown = contracts[contract.id]
        assert shown["status"] == contract.status
        assert {party["name"] for party in shown["parties"]} == {side.partner for side in contract.sides}
    partners = state.partners_seen_by(caller)
    assert {node["name"] for node in data["partners"]["nodes"]} == partners, caller
    for node in data["partners"]["nodes"]:
        held = [each for each in ROLES if each.partner == node["name"]]
        assert (len(node["roles"]), len(node["apiKeys"])) == (len(held), len(held))
    assert len(data["refusals"]["nodes"]) == sum(each.partner in partners for each in ROLES), caller
    assert {node["by"]["name"] for node in data["auditLog"]["nodes"]} == partners, caller
    if caller is None:
        assert data["me"] is None
        return
    assert data["me"]["partner"]["name"] == caller.partner
    own = {contract.id for contract in state.contracts if caller in contract.sides and state.in_force(contract)}
    assert {UUID(contract["id"]) for contract in data["me"]["contracts"]} == own, caller
