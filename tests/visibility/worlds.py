"""Generated worlds of private rows, and a model of the callers that see each row: plain Python, from the rules alone.

A world is a set of partners of its own, at two moments, so that any number of worlds share a database. Its draft is
drawn; its number makes its ids. A row is seen by the roles and the partners that it names, and rows of some tables by
the administrator. Where the model says `partner`, all roles of that partner see a row; where it says a role, only that.
"""

import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import combinations
from typing import Any
from uuid import UUID, uuid5

from hypothesis import strategies as st

from app.vocabulary import ContractStatus
from tests.visibility_matrix import ADMINISTRATOR, EVSP, NAMESPACE, NSP, OPERATOR, PAIRS, PSO, Agreement, Held, State

#: Aurora is an operator and a provider: two roles of one partner that must not lend each other anything.
PARTIES = (
    ("Aurora", OPERATOR, "DA"),
    ("Aurora", EVSP, "DA"),
    ("Borealis", OPERATOR, "DB"),
    ("Dynamo", EVSP, "DD"),
    ("Elektra", NSP, None),
    ("Galvani", PSO, "DG"),
)
OPERATORS, PROVIDERS = (0, 2), (1, 3)
NAMES = sorted({name for name, *_ in PARTIES})
CAN_CONTRACT = [
    (one, other)
    for one, other in combinations(range(len(PARTIES)), 2)
    if frozenset((PARTIES[one][1], PARTIES[other][1])) in PAIRS and PARTIES[one][0] != PARTIES[other][0]
]
#: The tokens of a world: provider and card. Both providers have the second card.
CARDS = ((1, 0), (1, 1), (3, 1), (3, 2))
BEFORE, AFTER = 0, 1

#: Tables whose rows the administrator sees; it sees nothing of tokens, requests, sessions and CDRs.
ADMINISTERED = frozenset(
    {"partner", "partner_role", "api_key", "contract", "audit_log", "refusal", "workflow_history", "workflow_chain"}
    | {"tariff"}
)
#: The numbers of a tariff's individual tariffs: the default, and that of its recipient.
DEFAULT, INDIVIDUAL = 0, 1
#: What tells them apart.
CURRENCIES = {DEFAULT: "EUR", INDIVIDUAL: "CHF"}
#: The provider that has individual tariffs.
RECIPIENT = 3

#: For each table the keys of its rows, and the roles and the names of the partners that see each.
Rows = Mapping[str, Mapping[Any, Collection[Held | str]]]


class TokenState(Enum):
    IN_FORCE = "in force"
    EXPIRED = "expired"
    REMOVED = "removed"


class Changed(Enum):
    """What the second moment changes of a session or a CDR. A provider does not learn of contradictions."""

    NOTHING = "nothing"
    ENERGY = "energy"
    CONTRADICTIONS = "contradictions"
    STATUS = "status"


# ---------------------------------------------------------------- drafts


@dataclass(frozen=True)
class Terms:
    """A contract without its sides. `since` and `until` are days from now."""

    status: ContractStatus = ContractStatus.ACTIVE
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Moment:
    """What moments differ in. `contracts` by pair of CAN_CONTRACT, `tokens` by CARDS, `revoked` by PARTIES."""

    contracts: tuple[Terms | None, ...]
    tokens: tuple[TokenState, ...] = (TokenState.IN_FORCE,) * len(CARDS)
    suspended: frozenset[str] = frozenset()
    revoked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Charged:
    """A session, a CDR, or a request and what it refers to. Sides are PARTIES.

    `appears`: from which moment on it is there.
    """

    operator: int
    provider: int | None
    appears: int = BEFORE
    changed: Changed = Changed.NOTHING
    contradicted: bool = False
    token: int | None = None
    session: int | None = None


@dataclass(frozen=True)
class Draft:
    """`by_socket`: by PARTIES, whether it follows changes over a WebSocket or by server-sent events."""

    moments: tuple[Moment, Moment]
    sessions: tuple[Charged, ...]
    requests: tuple[Charged, ...]
    cdrs: tuple[Charged, ...] = ()
    by_socket: tuple[bool, ...] = (True,) * len(PARTIES)


FORCE_MOSTLY = st.sampled_from([ContractStatus.ACTIVE] * 4 + list(ContractStatus))
BEGIN_AND_END = st.sampled_from([(None, None)] * 3 + [(-2, None), (2, None), (None, -1), (None, 3), (-2, -1), (-2, 3)])
TERMS = st.builds(lambda status, days: Terms(status, *days), FORCE_MOSTLY, BEGIN_AND_END)
STATES = st.sampled_from([TokenState.IN_FORCE, *TokenState])
SUSPENDED = st.sampled_from([frozenset[str]()] * 4 + [frozenset({name}) for name in NAMES])


def moments(revoked: st.SearchStrategy[frozenset[int]]) -> st.SearchStrategy[Moment]:
    contracts = st.tuples(*[st.one_of(st.none(), TERMS)] * len(CAN_CONTRACT))
    return st.builds(Moment, contracts, st.tuples(*[STATES] * len(CARDS)), SUSPENDED, revoked)


def several(one: st.SearchStrategy[Charged]) -> st.SearchStrategy[tuple[Charged, ...]]:
    return st.lists(one, max_size=4).map(tuple)


SESSIONS = st.builds(
    Charged,
    st.sampled_from(OPERATORS),
    st.sampled_from(PROVIDERS),
    st.sampled_from([BEFORE, AFTER]),
    st.sampled_from([Changed.NOTHING, Changed.ENERGY, Changed.CONTRADICTIONS]),
    st.booleans(),
)
REQUESTS = st.builds(
    Charged,
    st.sampled_from(OPERATORS),
    st.sampled_from([None, *PROVIDERS]),
    st.sampled_from([BEFORE, AFTER]),
    token=st.sampled_from([None, *range(len(CARDS))]),
    session=st.sampled_from([None, *range(4)]),
)
CDRS = st.builds(
    Charged,
    st.sampled_from(OPERATORS),
    st.sampled_from(PROVIDERS),
    st.sampled_from([BEFORE, AFTER]),
    st.sampled_from([Changed.NOTHING, Changed.STATUS]),
)
DRAFTS = st.builds(
    Draft,
    st.tuples(
        moments(st.just(frozenset())),
        moments(st.sampled_from([frozenset[int]()] * 2 + [frozenset({n}) for n in range(len(PARTIES))])),
    ),
    several(SESSIONS),
    several(REQUESTS),
    several(CDRS),
    st.tuples(*[st.booleans()] * len(PARTIES)),
)


def _moment(*pairs: tuple[int, int], **more: Any) -> Moment:
    """Return a moment in which contracts between some of PARTIES are in force."""
    return Moment(tuple([Terms() if pair in pairs else None for pair in CAN_CONTRACT]), **more)


#: Aurora's operator has a contract with Dynamo, whose NSP and whose operator's PSO must read no token. Every kind of
#: row is there, and requests refer to tokens and sessions that are not their sides'.
_CHARGED = (
    (Charged(0, 3), Charged(0, 3, changed=Changed.CONTRADICTIONS), Charged(2, 1, AFTER), Charged(2, 1, BEFORE)),
    (
        Charged(0, 3, token=3, session=0),
        Charged(2, None, token=3, session=0),
        Charged(2, 1, AFTER, token=0, session=3),
        Charged(0, None, AFTER, token=1, session=3),
    ),
    (Charged(0, 3), Charged(0, 3, changed=Changed.STATUS), Charged(2, 1, AFTER), Charged(2, 3)),
)
_SOCKETS = (True, False, True, False, True, False)
_SEEN = ((0, 3), (3, 4), (0, 5))
_EXPIRED = (TokenState.IN_FORCE, TokenState.EXPIRED, TokenState.EXPIRED, TokenState.IN_FORCE)
TELLING = Draft((_moment(*_SEEN), _moment(*_SEEN, tokens=_EXPIRED)), *_CHARGED, _SOCKETS)
#: Contracts end, a partner is suspended, a key is revoked, tokens are removed.
ENDING = Draft(
    (
        _moment(*_SEEN, (1, 2), (2, 3)),
        _moment(
            (3, 4),
            (1, 2),
            (2, 3),
            tokens=(TokenState.REMOVED,) * 2 + (TokenState.IN_FORCE,) * 2,
            suspended=frozenset({"Borealis"}),
            revoked=frozenset({3}),
        ),
    ),
    *_CHARGED,
    _SOCKETS[::-1],
)


# ---------------------------------------------------------------- worlds


@dataclass(frozen=True)
class Token:
    id: UUID
    provider: Held
    instance: str
    contract_id: str
    printed_number: str
    states: tuple[TokenState, TokenState]


@dataclass(frozen=True)
class Shared:
    """A session, a request or a CDR in its world. `number` makes it unique among all worlds."""

    id: UUID
    number: int
    operator: Held
    provider: Held | None
    draft: Charged

    @property
    def sides(self) -> frozenset[Held]:
        return frozenset({self.operator, self.provider} - {None})  # type: ignore[arg-type]

    def is_there(self, moment: int) -> bool:
        return self.draft.appears <= moment

    def contradicts(self, moment: int) -> bool:
        return self.draft.contradicted or (moment == AFTER and self.draft.changed is Changed.CONTRADICTIONS)

    def status(self, moment: int) -> str:
        """Return the state of a CDR."""
        is_changed = self.draft.appears == BEFORE and self.draft.changed is Changed.STATUS
        return "APPROVED" if moment == AFTER and is_changed else "ACCEPTED"

    def news_for(self, caller: Held | None) -> bool:
        """Return whether the second moment brings a side of it anything new of it."""
        is_new = self.draft.appears == AFTER or self.draft.changed in (Changed.ENERGY, Changed.STATUS)
        is_operators = self.draft.changed is Changed.CONTRADICTIONS and not self.draft.contradicted
        return caller in self.sides and (is_new or (is_operators and caller == self.operator))


@dataclass(frozen=True)
class Tariff:
    """A tariff with a default, and with an individual tariff for one provider."""

    id: str
    operator: Held
    recipient: Held


@dataclass(frozen=True)
class World:
    """A draft with ids."""

    number: int
    draft: Draft

    @cached_property
    def roles(self) -> tuple[Held, ...]:
        digits = _base36(self.number)
        return tuple(
            Held(self.number * 10 + n, f"W{self.number:05} {name}", role, prefix and prefix + digits)
            for n, (name, role, prefix) in enumerate(PARTIES)
        )

    @cached_property
    def partners(self) -> tuple[str, ...]:
        return tuple(sorted({each.partner for each in self.roles}))

    @cached_property
    def states(self) -> tuple[State, State]:
        before, after = (self._state(moment) for moment in self.draft.moments)
        return before, after

    def _state(self, moment: Moment) -> State:
        pairs = zip(CAN_CONTRACT, moment.contracts, strict=True)
        contracts = (
            Agreement(self.roles[one], self.roles[other], terms.status, terms.since, terms.until)
            for (one, other), terms in pairs
            if terms is not None
        )
        suspended = frozenset(each for each in self.partners if each.split()[1] in moment.suspended)
        return State(frozenset(), suspended, tuple(contracts))

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        before, after = self.draft.moments
        return tuple(self._token(n, (before.tokens[n], after.tokens[n])) for n in range(len(CARDS)))

    def _token(self, n: int, states: tuple[TokenState, TokenState]) -> Token:
        provider, card = self.roles[CARDS[n][0]], CARDS[n][1]
        contract_id, printed = f"{provider.party_id}C{self.number:05}{n:03}", f"P{self.number:05}{n}"
        return Token(self.id_of("token", n), provider, self.card(card), contract_id, printed, states)

    def card(self, n: int) -> str:
        return f"{self.number:06}C{n}"

    @cached_property
    def sessions(self) -> tuple[Shared, ...]:
        return self._shared("session", self.draft.sessions)

    @cached_property
    def requests(self) -> tuple[Shared, ...]:
        return self._shared("request", self.draft.requests)

    @cached_property
    def cdrs(self) -> tuple[Shared, ...]:
        return self._shared("cdr", self.draft.cdrs)

    @cached_property
    def tariffs(self) -> tuple[Tariff, ...]:
        operators = [self.roles[n] for n in OPERATORS]
        return tuple(Tariff(f"{each.party_id}T1", each, self.roles[RECIPIENT]) for each in operators)

    def _shared(self, noun: str, drafts: Iterable[Charged]) -> tuple[Shared, ...]:
        return tuple(
            Shared(
                self.id_of(noun, n),
                1_000_000 + self.number * 10 + n,
                self.roles[each.operator],
                None if each.provider is None else self.roles[each.provider],
                each,
            )
            for n, each in enumerate(drafts)
        )

    def id_of(self, noun: str, n: int) -> UUID:
        return uuid5(NAMESPACE, f"{self.number} {noun} {n}")

    def is_refused(self, caller: Held | None, moment: int) -> bool:
        """Return whether the key of a caller of this world is not valid: it is revoked, or its partner is suspended."""
        revoked = {self.roles[n] for n in self.draft.moments[moment].revoked}
        return caller is not None and (caller in revoked or caller.partner in self.states[moment].suspended)

    # ---- who sees what

    def readers(self, provider: Held, moment: int) -> set[Held]:
        """Return who reads a provider's tokens: itself, and the operators with a contract in force with it."""
        connected = self.states[moment].connected(provider)
        return {provider, *(each for each in connected if each.role is OPERATOR)}

    def sees(self, caller: Held | None, operator: Held, moment: int) -> bool:
        return operator.party_id in self.states[moment].operators_seen_by(caller)

    def tariff_providers(self, caller: Held | None, moment: int) -> set[Held]:
        """Return whose individual tariffs a caller may read: its own, or of those that an NSP has contracts with."""
        if caller is None or caller.role not in (EVSP, NSP):
            return set()
        return {each for each in (caller, *self.states[moment].connected(caller)) if each.role is EVSP}

    def may_read(self, caller: Held | None, tariff: Tariff, moment: int = AFTER) -> bool:
        """Return whether a caller may read the individual tariff of a recipient, wherever that charges."""
        return tariff.recipient in self.tariff_providers(caller, moment)

    def number_shown(self, tariff: Tariff, caller: Held | None, moment: int, asked: Held | None = None) -> int:
        """Return which individual tariff of a tariff is meant for a caller that does not own it."""
        about = caller if asked is None else asked
        is_meant = about == tariff.recipient and self.may_read(caller, tariff, moment)
        return INDIVIDUAL if is_meant and self.sees(tariff.recipient, tariff.operator, moment) else DEFAULT

    def rows(self, moment: int) -> Rows:
        """Return all rows of the private tables, and the viewers of each. Individual tariffs: who owns them."""
        contracts = self.states[moment].contracts
        sessions = [each for each in self.sessions if each.is_there(moment)]
        cdrs = [each for each in self.cdrs if each.is_there(moment)]
        requests = {each.number: each.sides for each in self.requests if each.is_there(moment)}
        return {
            "partner": {each.partner_id: {each.partner} for each in self.roles},
            "partner_role": {each.id: {each.partner} for each in self.roles},
            "api_key": {self.id_of("key", n): {each.partner} for n, each in enumerate(self.roles)},
            "contract": {each.id: {side.partner for side in each.sides} for each in contracts},
            "audit_log": dict(self.noted),
            "refusal": {self.numbered(n): {name} for n, name in enumerate(self.partners)},
            "workflow_history": {self.numbered(n): sides for n, sides in enumerate(self.histories)},
            "workflow_chain": dict(self.chains),
            "authorisation": {each.id: self.readers(each.provider, moment) for each in self.tokens},
            "authorisation_request": requests,
            "authorisation_answer": {self.id_of("answer", n): {self.roles[n]} for n in OPERATORS},
            "session": {each.id: each.sides for each in sessions},
            "cdr": {each.id: each.sides for each in cdrs},
            "cdr_content": {each.id: each.sides for each in cdrs},
            "cdr_occupancy": {each.id: {each.operator} for each in cdrs},
            "tariff": {
                each.id: {role for role in self.roles if self.sees(role, each.operator, moment)}
                for each in self.tariffs
            },
            "individual_tariff": {
                (each.id, number): {each.operator} for each in self.tariffs for number in (DEFAULT, INDIVIDUAL)
            },
            "tariff_recipient": {(each.id, each.recipient.party_id): {each.operator} for each in self.tariffs},
        }

    @cached_property
    def noted(self) -> Mapping[int, frozenset[str]]:
        """The entries of the audit log: one of each partner, and some of two."""
        concerned = [*((each,) for each in self.partners), *zip(self.partners, self.partners[3:], strict=False)]
        return {self.numbered(n): frozenset(each) for n, each in enumerate(concerned)}

    @cached_property
    def histories(self) -> Sequence[frozenset[Held]]:
        """The sides of each row of history: one per pair that can have a contract."""
        return [frozenset((self.roles[one], self.roles[other])) for one, other in CAN_CONTRACT]

    @cached_property
    def chains(self) -> Mapping[tuple[UUID, ...], frozenset[str]]:
        """The pairs of partners with a chain of history, in the order of their ids, and their names."""
        return {chain_of(sides): frozenset(each.partner for each in sides) for sides in self.histories}

    def numbered(self, n: int) -> int:
        return 1_000_000 + self.number * 10 + n


def chain_of(sides: Iterable[Held]) -> tuple[UUID, ...]:
    return tuple(sorted(each.partner_id for each in sides))


def _base36(number: int) -> str:
    digits = string.digits + string.ascii_uppercase
    return digits[number // 1296 % 36] + digits[number // 36 % 36] + digits[number % 36]


class Worlds:
    """Worlds that one database holds, as one."""

    def __init__(self, worlds: Iterable[World]) -> None:
        self.worlds = tuple(worlds)
        self._rows = tuple(self._merged(moment) for moment in (BEFORE, AFTER))

    def _merged(self, moment: int) -> Rows:
        found: dict[str, dict[Any, Collection[Held | str]]] = {}
        for world in self.worlds:
            for table, rows in world.rows(moment).items():
                found.setdefault(table, {}).update(rows)
        return found

    @property
    def tables(self) -> Collection[str]:
        return self._rows[AFTER].keys()

    def all_of(self, table: str) -> set[Any]:
        return set(self._rows[AFTER][table])

    def rows(self, table: str, caller: Held | None, moment: int = AFTER) -> set[Any]:
        """Return the keys of a table's rows that a caller sees."""
        return seen_by(caller, self._rows[moment][table], table in ADMINISTERED)

    def individual_tariffs(self, caller: Held | None, asked: Held | None = None) -> set[Any]:
        """Return the keys of the individual tariffs that are meant for a caller, or that it owns, of all tariffs."""
        meant = {
            (each.id, world.number_shown(each, caller, AFTER, asked)) for world in self.worlds for each in world.tariffs
        }
        own = self.rows("individual_tariff", caller)
        return own | {each for each in meant if (each[0], DEFAULT) not in own}


def seen_by(caller: Held | None, rows: Mapping[Any, Collection[Held | str]], administered: bool = False) -> set[Any]:
    """Return the keys of the rows that a caller sees."""
    if caller is None:
        return set()
    if administered and caller.role is ADMINISTRATOR:
        return set(rows)
    return {key for key, viewers in rows.items() if caller in viewers or caller.partner in viewers}
