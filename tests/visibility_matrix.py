"""Who sees what, decided slowly: a model in plain Python, and a hub in which every state of it can be set up.

The model knows nothing of SQL and is written from the rules alone. `check` holds what the API shows to every caller
against it; what it finds in a broken hub, it would find in ours.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID, uuid5

import asyncpg
from hypothesis import strategies as st

from app.auth import hash_secret, new_secret
from app.vocabulary import ContractStatus, Role
from tests.hub import Hub, serve
from tests.wire.talk import Talk, talk

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
#: An operator that a register created and no partner holds.
UNCLAIMED = "FRRRR"
OPERATORS = (*(each.party_id for each in ROLES if each.role is OPERATOR and each.party_id), UNCLAIMED)
MAY_SUSPEND = sorted({each.partner for each in ROLES if each.role is not ADMINISTRATOR})
PAIRS = {frozenset(pair) for pair in ((EVSP, OPERATOR), (NSP, OPERATOR), (NSP, EVSP), (PSO, OPERATOR))}
CAN_CONTRACT = [
    (a, b) for a, b in combinations(ROLES, 2) if frozenset((a.role, b.role)) in PAIRS and a.partner != b.partner
]


#: An operator that is always open and has a spot and no EVSEs: a reader that received it has received all before it.
ALWAYS_OPEN, SENTINEL = "XXOPN", "XXOPNP1"


@dataclass(frozen=True)
class Spot:
    """A parking spot: whose EVSEs it serves, by the EVSEs' ids, whether its PSO published it, and where it is."""

    id: str
    evse_ids: frozenset[str]
    published: bool
    own_position: bool = False

    @property
    def pso(self) -> str:
        return self.id[:5]

    @property
    def operators(self) -> set[str]:
        return {ALWAYS_OPEN} if self.id == SENTINEL else {evse_id[:5] for evse_id in self.evse_ids}


#: Galvani's spots: one per operator that only its EVSE links, one of two operators, one that is not linked. Besides,
#: spots under party ids that no partner holds.
SPOTS = {
    spot.id: spot
    for spot in (
        *(Spot(f"DEGGGP{party_id}", frozenset({f"{party_id}E0"}), False) for party_id in OPERATORS),
        Spot("DEGGGPBOTH", frozenset({"DEAAAE1", "DEBBBE0", "DEBBBE1"}), published=True),
        Spot("DEGGGPSAID", frozenset({"DEAAAE1", "DEBBBE0"}), published=True, own_position=True),
        Spot("DEGGGPALONE", frozenset(), published=True, own_position=True),
        Spot("DEHHHP1", frozenset({"DECCCE0"}), published=False),
        Spot("FRRRRP1", frozenset({"FRRRRE0", "FRRRRE1"}), published=False),
        Spot(SENTINEL, frozenset(), published=False),
    )
}


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

    def spots_seen_by(self, caller: Held | None) -> set[str]:
        """Return the spots of all EVSEs that the caller sees, of a PSO itself, and of PSOs with a contract with it."""
        if caller is not None and caller.role is ADMINISTRATOR:
            return set(SPOTS)
        operators = self.operators_seen_by(caller) | {ALWAYS_OPEN}
        psos: set[str | None] = set()
        if caller is not None:
            psos = {each.party_id for each in (caller, *self.connected(caller)) if each.role is PSO}
        return {spot.id for spot in SPOTS.values() if spot.pso in psos or operators & spot.operators}

    def published_seen_by(self, caller: Held | None) -> set[str]:
        """Return the spots of which the caller sees what their PSO publishes: its own, or by a contract with the PSO.

        The contract is the caller's, or that of an operator that links the spot and that the caller sees.
        """
        if caller is not None and caller.role is ADMINISTRATOR:
            return set(SPOTS)
        operators = self.operators_seen_by(caller)
        psos = () if caller is None else (caller, *self.connected(caller))
        through = {
            (held.party_id, pso.party_id)
            for held in ROLES
            if held.role is OPERATOR and held.party_id in operators
            for pso in self.connected(held)
            if pso.role is PSO
        }
        return {
            spot.id
            for spot in SPOTS.values()
            if any(each.role is PSO and each.party_id == spot.pso for each in psos)
            or any((party_id, spot.pso) in through for party_id in spot.operators)
        }

    def places_seen_by(self, caller: Held | None) -> set[str]:
        """Return those of the spots seen that are found in areas: by their PSO's position, or an EVSE seen."""
        operators, published = self.operators_seen_by(caller) | {ALWAYS_OPEN}, self.published_seen_by(caller)
        seen = {SPOTS[id_] for id_ in self.spots_seen_by(caller)}
        return {spot.id for spot in seen if (spot.own_position and spot.id in published) or operators & spot.operators}

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

    def headers(self, caller: Held | None) -> dict[str, str]:
        return {} if caller is None else {"Authorization": f"Bearer {self.secrets[caller]}"}

    def put(self, state: State) -> None:
        """Bring the database to a state."""
        self.hub.run(self._put(state))

    async def _put(self, state: State) -> None:
        resting = [uuid5(NAMESPACE, partner) for partner in state.suspended]
        async with self.owner.transaction():
            await self.owner.execute("delete from contract")
            await self.owner.executemany(ADD_CONTRACT, [contract_row(contract) for contract in state.contracts])
            await self.owner.execute(
                "update operator set open = party_id = any($1::text[])", [*state.open, ALWAYS_OPEN]
            )
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


def contract_row(contract: Agreement) -> tuple[Any, ...]:
    """Return the arguments of ADD_CONTRACT."""
    now = datetime.now(UTC)
    since, until = (None if day is None else now + timedelta(days=day) for day in (contract.since, contract.until))
    first, second = contract.sides
    return (contract.id, first.id, first.partner_id, second.id, second.partner_id, contract.status.value, since, until)


@contextmanager
def matrix(dsn: str, **settings: Any) -> Iterator[Matrix]:
    """Fill an empty database with the model's parties, their EVSEs and spots, and serve it."""
    # A key is looked up for every request, so that a partner that was suspended is refused at once.
    with serve(dsn, key_cache_s=0, max_root_fields=50, **settings) as hub:
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
    await made.owner.execute("insert into operator (party_id, name, open) values ($1, $1, true)", ALWAYS_OPEN)
    for spot in SPOTS.values():
        await made.owner.execute(ADD_SPOT, spot.id, list(spot.evse_ids), spot.published, spot.own_position)
        await made.owner.execute(LINK, list(spot.evse_ids), spot.id)
    await made.owner.execute(TAKE_ALL_SPOTS, LONG_AGO, LONG_HENCE)


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
with known as (select no from operator where party_id = $1), place as (
    insert into location (operator_no, location_id, longitude, latitude, address, country, location_name,
        location_name_language, location_type, updated_at)
    select no, $3, $4, $5, 'Weg', 'DEU', $2, 'DEU', 'OTHER', now() from known returning *
)
insert into evse (evse_id, evse_id_as_sent, operator_no, location_id, longitude, latitude, address, country,
    location_name, location_name_language, location_type, updated_at, charge_point_type, connector_mask,
    connector_standards, connector_formats, connector_tariff_ids, content_hash)
select $2, $2, operator_no, location_id, longitude, latitude, address, country, location_name,
    location_name_language, location_type, updated_at, 'AC', 1, '{CHADEMO}', '{CABLE}', '{NULL}', '' from place
"""
ADD_SPOT = f"""
with linking as (
    select operator_no, longitude, latitude, evse_id from evse where evse_id = any($2)
    union all select no, 7, 51, '' from operator where party_id = '{ALWAYS_OPEN}' and $1 = '{SENTINEL}'
)
insert into parking_spot (parking_id, operator_nos, link_longitudes, link_latitudes, longitude, latitude, content_hash,
    updated_at)
select $1, array(select operator_no from linking order by evse_id),
    array(select longitude from linking order by evse_id), array(select latitude from linking order by evse_id),
    case when $4 then 7 end, case when $4 then 51 end, case when $3 then ''::bytea end, case when $3 then now() end
"""
LINK = """
with linked as (
    update evse set parking_ids = parking_ids || $2::text, parking_restrictions = parking_restrictions || 0,
        parking_floor_levels = parking_floor_levels || null::text, parking_numbers = parking_numbers || null::text
    where evse_id = any($1) returning evse_id, operator_no
)
insert into evse_parking_spot (evse_id, parking_id, operator_no) select evse_id, $2, operator_no from linked
"""
TAKE_ALL_SPOTS = "update parking_status set status = 'NOT_AVAILABLE', at = $1, updated_at = $1, expires_at = $2"


# ---------------------------------------------------------------- what the API shows, against the model


def check(made: Matrix, state: State) -> None:
    """Bring the hub to a state and ask in everybody's name."""
    made.put(state)
    for caller in (None, *ROLES):
        response = made.hub.post(question(made), headers=made.headers(caller))
        if caller is not None and caller.partner in state.suspended:
            assert response.status_code == 401, caller
        else:
            answer = response.json()
            assert "errors" not in answer, answer
            check_answer(made, state, caller, answer["data"])


def question(made: Matrix) -> str:
    """Return a query for everything in several ways."""
    singles = " ".join(f'{one}: evse(evseId: "{one}") {{ evseId }}' for one, _ in made.evses.values())
    spots = " ".join(f'{one}: parkingSpot(parkingId: "{one}") {{ {SPOT} }}' for one in SPOTS)
    psos = quoted(sorted({spot.pso for spot in SPOTS.values()}))
    return f"""{{
        listed: evses(first: 50) {{ nodes {{ evseIdAsSent operator {{ partyId }} location {{ name }}
            parkingSpots {{ spot {{ {SPOT} }} }} }} }}
        near: evses(within: {NEAR}) {{ nodes {{ evseIdAsSent }} }}
        boxed: evses(within: {BOX}) {{ nodes {{ evseIdAsSent }} }}
        named: evses(filter: {{ operatorIds: {quoted(OPERATORS)} }}) {{ nodes {{ evseIdAsSent }} }}
        {singles}
        spotsListed: parkingSpots(first: 50) {{ nodes {{ {SPOT} }} }}
        spotsNear: parkingSpots(within: {NEAR}) {{ nodes {{ {SPOT} }} }}
        spotsBoxed: parkingSpots(within: {BOX}) {{ nodes {{ {SPOT} }} }}
        spotsNamed: parkingSpots(parkingIds: {quoted(SPOTS)}) {{ nodes {{ {SPOT} }} }}
        spotsOfPsos: parkingSpots(psoIds: {psos}) {{ nodes {{ {SPOT} }} }}
        {spots}
        contracts(first: 500) {{ nodes {{ id status parties {{ name }} }} }}
        partners(first: 500) {{ nodes {{ name roles {{ role }} apiKeys {{ id }} }} }}
        me {{ partner {{ name apiKeys {{ id }} }} contracts {{ id }} }}
        refusals {{ nodes {{ id }} }}
        auditLog {{ nodes {{ by {{ name }} }} }}
    }}"""


NEAR = "{ near: { latitude: 51, longitude: 7 } }"
BOX = "{ bounds: { minimumLatitude: 50, minimumLongitude: 6, maximumLatitude: 52, maximumLongitude: 8 } }"
SPOT = "parkingId status position { latitude longitude } evses { evseIdAsSent }"


def quoted(words: Iterable[str]) -> str:
    return json.dumps(list(words))


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
    check_spots(state, caller, data)
    check_private(state, caller, data)


def check_spots(state: State, caller: Held | None, data: dict[str, Any]) -> None:
    seen = state.spots_seen_by(caller)
    for way in ("spotsListed", "spotsNear", "spotsBoxed", "spotsNamed", "spotsOfPsos"):
        there = state.places_seen_by(caller) if way in ("spotsNear", "spotsBoxed") else seen
        assert {id_of(node) for node in data[way]["nodes"]} == there, (way, caller)
        for node in data[way]["nodes"]:
            check_spot(caller, node, state)
    for one in SPOTS:
        assert (data[one] is not None) == (one in seen), (one, caller)
        if data[one] is not None:
            check_spot(caller, data[one], state)
    for node in data["listed"]["nodes"]:
        linked = {spot.id for spot in SPOTS.values() if node["evseIdAsSent"] in spot.evse_ids}
        assert {id_of(each["spot"]) for each in node["parkingSpots"]} == linked, (node, caller)
        for each in node["parkingSpots"]:
            check_spot(caller, each["spot"], state)


def check_spot(caller: Held | None, node: dict[str, Any], *states: State) -> None:
    """Hold a spot's status, and its EVSEs: those that it serves and that were seen in one of these states."""
    spot = SPOTS[id_of(node)]
    shown = {each["evseIdAsSent"] for each in node["evses"]}
    seen = [state.operators_seen_by(caller) for state in states]
    assert shown in [{id_ for id_ in spot.evse_ids if id_[:5] in operators} for operators in seen], ("served", spot)
    assert node["status"] == "NOT_AVAILABLE", (spot, caller)
    published = [spot.own_position and spot.id in state.published_seen_by(caller) for state in states]
    assert (node["position"] is not None) in published, ("position", spot, caller)


def id_of(spot: dict[str, Any]) -> str:
    return spot["parkingId"].replace("*", "")


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


# ---------------------------------------------------------------- what changes tell, against the model

KINDS = SPOT_KIND, STATUS_KIND = "PARKING_SPOT", "PARKING_STATUS"
TOLD = f"changes {{ kind action id parkingSpot {{ {SPOT} }} }}"
CHANGES = f"""query ($cursor: Cursor) {{
    changes(cursor: $cursor, kinds: [{", ".join(KINDS)}], first: 500) {{ cursor {TOLD} }} }}"""
FOLLOW = f"subscription {{ changes(kinds: [{', '.join(KINDS)}], initial: true) {{ {TOLD} }} }}"
PATIENCE_S = 60
CLEARING_HOUSE = ROLES[-1]
#: The last change when spots are touched. Those that became invisible with their operator may come after it.
TOUCHED = STATUS_KIND, SENTINEL


@dataclass
class Follower:
    """A client that keeps the state that changes describe, by kind and id."""

    caller: Held | None
    held: set[tuple[str, str]] = field(default_factory=set)

    def hear(self, changes: Iterable[dict[str, Any]], *states: State) -> set[tuple[str, str]]:
        """Apply a page, which tells how something was in one of these states; gives what it was about."""
        about: set[tuple[str, str]] = set()
        for change in changes:
            key = change["kind"], change["id"].replace("*", "")
            about.add(key)
            if change["action"] == "UPSERTED":
                self.held.add(key)
                check_spot(self.caller, change["parkingSpot"], *states)
            else:
                self.held.discard(key)
        seen = set().union(*(state.spots_seen_by(self.caller) for state in states))
        assert {id_ for _, id_ in about} <= seen, ("named", self.caller)
        return about

    def is_at(self, now: State) -> bool:
        """Return whether it holds the model's state, once everything was touched."""
        return self.held == {(kind, id_) for kind in KINDS for id_ in now.spots_seen_by(self.caller)}


def touch(made: Matrix) -> None:
    """Change every spot, and the status of each."""
    made.execute("""update parking_spot set longitude = 14.001 - longitude, link_longitudes = array(
        select 14.001 - link from unnest(link_longitudes) with ordinality as linked (link, place) order by place
    )""")
    made.execute("insert into change (kind, entity_id) select $1, parking_id from parking_spot order by 2", STATUS_KIND)


def changes_since(made: Matrix, follower: Follower, cursor: str | None, *states: State) -> str:
    """Request changes until the last that was touched has come; return the cursor."""
    ends = time.monotonic() + PATIENCE_S
    heard = False
    while not heard:
        assert time.monotonic() < ends, "the log of changes was never complete"
        page = made.hub.ask(CHANGES, {"cursor": cursor}, made.headers(follower.caller))["changes"]
        heard = TOUCHED in follower.hear(page["changes"], *states)
        cursor = page["cursor"]
    assert cursor is not None
    return cursor


def begin(made: Matrix, state: State) -> str:
    """Bring the hub to a state, and wait until changes tell nothing older; gives the cursor."""
    made.put(state)
    cursor = made.hub.ask(CHANGES)["changes"]["cursor"]
    touch(made)
    return changes_since(made, Follower(CLEARING_HOUSE), cursor, state)


def check_changes(made: Matrix, states: Sequence[State]) -> None:
    """Bring the hub from state to state, touch all spots in each, and ask in everybody's name what changed."""
    before, cursor = states[0], begin(made, states[0])
    for state in states[1:]:
        made.put(state)
        touch(made)
        for caller in (None, *ROLES):
            if caller is None or caller.partner not in state.suspended:
                follower = Follower(caller, {(kind, id_) for kind in KINDS for id_ in before.spots_seen_by(caller)})
                changes_since(made, follower, cursor, before, state)
                assert follower.is_at(state), ("held", caller, follower.held)
        before, cursor = state, changes_since(made, Follower(CLEARING_HOUSE), cursor, before, state)


def check_subscription(made: Matrix, states: Sequence[State]) -> None:
    """Follow the spots as every caller, and bring the hub from state to state; no partner is suspended in any."""
    before = states[0]
    begin(made, before)
    with ExitStack() as stack:
        following: list[tuple[Follower, Talk]] = []
        for caller in (None, *ROLES):
            client, follower = stack.enter_context(talk(made.hub)), Follower(caller)
            client.init(made.headers(caller))
            client.subscribe("1", FOLLOW)
            while (SPOT_KIND, SENTINEL) not in follower.held:
                hear(client, follower, before)
            assert {id_ for _, id_ in follower.held} == before.spots_seen_by(caller), ("initial", caller)
            following.append((follower, client))
        for state in states[1:]:
            made.put(state)
            touch(made)
            for follower, client in following:
                heard = False
                while not (heard and follower.is_at(state)):
                    heard |= TOUCHED in hear(client, follower, before, state)
            before = state


def hear(client: Talk, follower: Follower, *states: State) -> set[tuple[str, str]]:
    """Receive one page; return its kinds and ids. Raises: TimeoutError when none comes."""
    message = client.hear()
    assert message["type"] == "next", message
    return follower.hear(message["payload"]["data"]["changes"]["changes"], *states)
