"""What every read of private rows shows to a caller, beside what the model says that it shows."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Any
from uuid import UUID

from app.auth import new_secret
from tests.visibility.private_matrix import PrivateMatrix, callers_of
from tests.visibility.worlds import AFTER, BEFORE, CURRENCIES, RECIPIENT, Shared, Token, TokenState, World, Worlds
from tests.visibility_matrix import CLEARING_HOUSE, EVSP, OPERATOR, Held

# ---------------------------------------------------------------- what is asked

TOKENS = "changes { action id token { instance } authorisation { contractId printedNumber } }"
SESSIONS = "sessions { id contradictions token { instance } }"
REQUESTS = "requests { id authorisation { id } session { id } }"
CDRS = "cdrs { cdrId status }"
TARIFFS = "changes { action tariffId tariff { tariffId individualTariffs { currency recipients } } }"
FOLLOWED = {
    "roamingAuthorisationChanges": TOKENS,
    "sessionChanges": SESSIONS,
    "authorisationRequestChanges": REQUESTS,
    "cdrChanges": CDRS,
    "tariffChanges": TARIFFS,
}
TOKEN_CHANGES, SESSION_CHANGES, REQUEST_CHANGES, CDR_CHANGES, TARIFF_CHANGES = FOLLOWED
ROWS = """
    me { role partner { id } contracts { id } }
    partners(first: 500, after: $partners) {
        nodes { id roles { role } apiKeys { id } } }
    partner(id: $partner) { id }
    contracts(first: 500, after: $contracts) {
        nodes { id status parties { partnerId role } } }
    session(id: $session) { id }
    cdr(cdrId: $cdr) { cdrId }
    tariff(tariffId: $tariff, providerId: $provider) { tariffId individualTariffs { currency recipients } }
    sessions { nodes { id contradictions token { instance } } }
    authorisationRequests { nodes { id authorisation { id } session { id } } }
"""
#: Other lists, in pages and by searches, and changes since the first moment. A caller asks for one group at a time.
PAGES = (
    f"""
    auditLog(first: 500, after: $auditLog) {{ nodes {{ id }} }}
    roamingAuthorisations {{ {TOKENS} }}
    allSessions: sessionChanges {{ {SESSIONS} }}
    authorisationRequestChanges(cursor: $cursor) {{ {REQUESTS} }}
    waitingCdrs: cdrs {{ nodes {{ cdrId status }} }}
    tariffs(first: 1000) {{ {TARIFFS} }}
    """,
    f"""
    refusals(first: 100) {{ nodes {{ id }} }}
    byToken: roamingAuthorisations(token: {{ instance: $card, type: RFID }}) {{ {TOKENS} }}
    roamingAuthorisationChanges: roamingAuthorisations(cursor: $cursor) {{ {TOKENS} }}
    allRequests: authorisationRequestChanges {{ {REQUESTS} }}
    cdrs(status: [ACCEPTED, APPROVED]) {{ nodes {{ cdrId status }} }}
    askedTariffs: tariffs(first: 1000, providerId: $provider) {{ {TARIFFS} }}
    """,
    f"""
    byContract: roamingAuthorisations(contractId: $contract) {{ {TOKENS} }}
    byNumber: roamingAuthorisations(printedNumber: $printed) {{ {TOKENS} }}
    sessionChanges(cursor: $cursor) {{ {SESSIONS} }}
    cdrChanges(cursor: $cursor) {{ {CDRS} }}
    reconciliation {{ operatorId providerId status count total }}
    """,
)
VARIABLES = {
    "partner": "ID!",
    "partners": "String",
    "contracts": "String",
    "auditLog": "String",
    "session": "ID!",
    "cdr": "CdrId!",
    "tariff": "TariffId!",
    "provider": "PartyId!",
    "cursor": "Cursor",
    "card": "String!",
    "contract": "ContractId!",
    "printed": "String!",
}


def document(fields: str) -> str:
    """Return a query for some fields, which declares the variables that they name."""
    declared = (f"${name}: {type_}" for name, type_ in VARIABLES.items() if re.search(rf"\${name}\b", fields))
    return f"query ({', '.join(declared)}) {{ {fields} }}"


ROLE = "{ me { role } }"
QUERIES = tuple(document(ROWS + pages) for pages in PAGES)


# ---------------------------------------------------------------- the model's answers

#: Of each field the things that it may show, in a form that can be compared.
Shown = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """What the model says that one caller is shown of some worlds."""

    all: Worlds
    caller: Held | None

    @property
    def worlds(self) -> Sequence[World]:
        return self.all.worlds

    def rows(self, table: str, moment: int = AFTER) -> set[Any]:
        return self.all.rows(table, self.caller, moment)

    def readable(self, moment: int, *states: TokenState) -> list[Token]:
        ids = self.rows("authorisation", moment)
        tokens = [each for world in self.worlds for each in world.tokens if each.id in ids]
        return [each for each in tokens if each.states[moment] in states]

    def tokens(self, moment: int) -> set[Any]:
        return {token_shown(each) for each in self.readable(moment, TokenState.IN_FORCE)}

    def sessions(self, moment: int, *, only_news: bool = False) -> set[Any]:
        found = [each for world in self.worlds for each in world.sessions if each.is_there(moment)]
        sides = [each for each in found if (each.news_for(self.caller) if only_news else self.caller in each.sides)]
        return {(str(each.id), self._is_operator and each.contradicts(moment)) for each in sides}

    def requests(self, moment: int, *, only_news: bool = False) -> set[Any]:
        """Return requests, each with what it refers to as far as that may be seen."""
        known = {each.id for each in self.readable(moment, TokenState.IN_FORCE, TokenState.EXPIRED)}
        known |= self.rows("session", moment)
        shown: set[Any] = set()
        for world in self.worlds:
            for each in world.requests:
                is_asked = each.draft.appears == AFTER if only_news else each.is_there(moment)
                if is_asked and self.caller in each.sides:
                    shown.add((str(each.number), *(str(id_) for id_ in _referred(world, each) if id_ in known)))
        return shown

    def cdrs(self, moment: int, *, only_news: bool = False, only_waiting: bool = False) -> set[Any]:
        """Return CDRs with their states. ACCEPTED ones wait for the provider."""
        found = [each for world in self.worlds for each in world.cdrs if each.is_there(moment)]
        own = [each for each in found if (each.news_for(self.caller) if only_news else self.caller in each.sides)]
        shown = {(cdr_id(each), each.status(moment)) for each in own}
        return {each for each in shown if not only_waiting or (not self._is_operator and each[1] == "ACCEPTED")}

    def reconciled(self) -> set[Any]:
        is_all = self.caller is CLEARING_HOUSE
        found = [each for world in self.worlds for each in world.cdrs if is_all or self.caller in each.sides]
        groups = Counter((each.operator.party_id, *_provider(each), each.status(AFTER)) for each in found)
        return {(*group, count, str(count)) for group, count in groups.items()}

    def tariffs(self, moment: int, asked: Held | None = None) -> set[Any]:
        """Return the tariffs that are seen, with the currencies shown and whether recipients are. `asked`: provider."""
        seen = self.rows("tariff", moment)
        shown: set[Any] = set()
        for world in self.worlds:
            for each in world.tariffs:
                if each.id in seen and each.operator == self.caller:
                    shown.add((each.id, frozenset(CURRENCIES.values()), True))
                elif each.id in seen:
                    number = world.number_shown(each, self.caller, moment, asked)
                    shown.add((each.id, frozenset({CURRENCIES[number]}), False))
        return shown

    def of_worlds(self, tariffs: set[Any]) -> set[Any]:
        """Leave out tariffs of other worlds, which the administrator sees."""
        own = {each.id for world in self.worlds for each in world.tariffs}
        return {each for each in tariffs if each[0] in own}

    @property
    def _is_operator(self) -> bool:
        return self.caller is not None and self.caller.role is OPERATOR

    def found(self, matches: Callable[[Token], bool]) -> set[Any]:
        """Return the result of a search for tokens: a provider finds its expired ones too."""
        is_provider = self.caller is not None and self.caller.role is EVSP
        states = (TokenState.IN_FORCE, TokenState.EXPIRED) if is_provider else (TokenState.IN_FORCE,)
        return {token_shown(each) for each in self.readable(AFTER, *states) if matches(each)}

    def answer(self, asked: Mapping[str, Any]) -> Shown:
        """Return what QUERIES show at the second moment."""
        contracts = [each for world in self.worlds for each in world.states[AFTER].contracts]
        own = self.rows("contract")
        provider = next(each for world in self.worlds for each in world.roles if each.party_id == asked["provider"])
        tariffs = self.tariffs(AFTER, provider)
        texts = {name: {str(key) for key in self.rows(name)} for name in ("partner", "api_key", "audit_log", "refusal")}
        return {
            "me": self._me(),
            "partners": texts["partner"],
            "apiKeys": texts["api_key"],
            "roles": len(self.rows("partner_role")),
            "partner": asked["partner"] in texts["partner"],
            "contracts": {contract_shown(each) for each in contracts if each.id in own},
            "auditLog": texts["audit_log"],
            "refusals": texts["refusal"],
            "session": UUID(asked["session"]) in self.rows("session"),
            "cdr": any(each == asked["cdr"] for each, _ in self.cdrs(AFTER)),
            "cdrs": self.cdrs(AFTER),
            "waitingCdrs": self.cdrs(AFTER, only_waiting=True),
            "cdrChanges": self.cdrs(AFTER, only_news=True),
            "reconciliation": self.reconciled(),
            "tariff": {each for each in tariffs if each[0] == asked["tariff"]},
            "tariffs": self.tariffs(AFTER),
            "askedTariffs": tariffs,
            "sessions": self.sessions(AFTER),
            "allSessions": self.sessions(AFTER),
            "sessionChanges": self.sessions(AFTER, only_news=True),
            "authorisationRequests": self.requests(AFTER),
            "allRequests": self.requests(AFTER),
            "authorisationRequestChanges": self.requests(AFTER, only_news=True),
            "roamingAuthorisations": self.tokens(AFTER),
            "byToken": self.found(lambda token: token.instance == asked["card"]),
            "byContract": self.found(lambda token: token.contract_id == asked["contract"]),
            "byNumber": self.found(lambda token: token.printed_number == asked["printed"]),
            "roamingAuthorisationChanges": self.tokens(AFTER),
        }

    def _me(self) -> Any:
        caller = self.caller
        if caller is None:
            return None
        state = next((world.states[AFTER] for world in self.worlds if caller in world.roles), None)
        contracts = [] if state is None else [each for each in state.contracts if state.in_force(each)]
        return caller.role, str(caller.partner_id), {str(each.id) for each in contracts if caller in each.sides}


def _referred(world: World, request: Shared) -> Iterator[UUID]:
    if request.draft.token is not None:
        yield world.tokens[request.draft.token].id
    if request.draft.session is not None:
        yield world.id_of("session", request.draft.session)


def _provider(cdr: Shared) -> tuple[str | None]:
    return (cdr.provider and cdr.provider.party_id,)


def cdr_id(cdr: Shared) -> str:
    return f"{cdr.operator.party_id}C{cdr.number}"


def token_shown(token: Token) -> tuple[Any, ...]:
    return str(token.id), token.instance, token.contract_id, token.printed_number


def contract_shown(contract: Any) -> tuple[Any, ...]:
    return str(contract.id), contract.status, frozenset((str(each.partner_id), each.role) for each in contract.sides)


# ---------------------------------------------------------------- the hub's answers


def shown(data: Any, held: set[Any]) -> Shown:
    """Bring an answer to the form of the model. `held`: tokens at the cursor, to which changes apply."""
    me, keys = data["me"], [key for partner in data["partners"]["nodes"] for key in partner["apiKeys"]]
    special = {
        "me": me and (me["role"], me["partner"]["id"], _ids(me["contracts"])),
        "apiKeys": _ids(keys),
        "roles": sum(len(each["roles"]) for each in data["partners"]["nodes"]),
        "partner": data["partner"] is not None,
        "session": data["session"] is not None,
        "cdr": data["cdr"] is not None,
        "tariff": {tariff(data["tariff"])} - {None},
    }
    if "reconciliation" in data:
        special["reconciliation"] = {tuple(row.values()) for row in data["reconciliation"]}
    special |= {name: tariffs(data[name]["changes"]) for name in ("tariffs", "askedTariffs") if name in data}
    if TOKEN_CHANGES in data:
        special[TOKEN_CHANGES] = applied(held, data[TOKEN_CHANGES]["changes"])
    return {name: _items(name, each) for name, each in data.items() if name not in special} | special


def _items(name: str, found: Any) -> set[Any]:
    match found:
        case {"nodes": nodes}:
            return {NODES.get(name, _id)(each) for each in nodes}
        case {"changes": changes}:
            return tokens(changes)
        case {"sessions": sessions}:
            return {session(each) for each in sessions}
        case {"requests": requests}:
            return {request(each) for each in requests}
        case {"cdrs": cdrs}:
            return {cdr(each) for each in cdrs}
    raise AssertionError(name)


def _id(node: Any) -> str:
    return node["id"]


def _ids(nodes: Iterable[Any]) -> set[str]:
    return {each["id"] for each in nodes}


def _contract(node: Any) -> tuple[Any, ...]:
    return node["id"], node["status"], frozenset((each["partnerId"], each["role"]) for each in node["parties"])


def tokens(changes: Iterable[Any]) -> set[Any]:
    return {token(each) for each in changes if each["action"] == "UPSERTED"}


def token(change: Any) -> tuple[Any, ...]:
    authorisation = change["authorisation"]
    contract_id = authorisation["contractId"].replace("-", "")
    return change["id"], change["token"]["instance"], contract_id, authorisation["printedNumber"]


def session(node: Any) -> tuple[Any, ...]:
    return node["id"], bool(node["contradictions"])


def cdr(node: Any) -> tuple[Any, ...]:
    return node["cdrId"], node["status"]


def tariff(node: Any) -> tuple[Any, ...] | None:
    if node is None:
        return None
    shown = node["individualTariffs"]
    has_recipients = any(each["recipients"] is not None for each in shown)
    return node["tariffId"].replace("*", ""), frozenset(each["currency"] for each in shown), has_recipients


def tariffs(changes: Iterable[Any]) -> set[Any]:
    return {tariff(each["tariff"]) for each in changes if each["action"] == "UPSERTED"}


def request(node: Any) -> tuple[Any, ...]:
    referred = (node["authorisation"], node["session"])
    return node["id"], *(each["id"] for each in referred if each is not None)


#: How nodes of a connection are compared, where not by their ids.
NODES = {
    "contracts": _contract,
    "sessions": session,
    "authorisationRequests": request,
    "cdrs": cdr,
    "waitingCdrs": cdr,
}


def applied_tariffs(held: set[Any], changes: Iterable[Any]) -> set[Any]:
    """Return the tariffs that a client holds after some changes; what is removed it must have held."""
    by_id = {each[0]: each for each in held}
    for change in changes:
        id_ = change["tariffId"].replace("*", "")
        if change["action"] == "UPSERTED":
            by_id[id_] = tariff(change["tariff"])
        else:
            assert by_id.pop(id_, None), ("removed", change)
    return set(by_id.values())


def applied(held: set[Any], changes: Iterable[Any]) -> set[Any]:
    """Return the tokens that a client holds after some changes; what is removed it must have held."""
    by_id = {each[0]: each for each in held}
    for change in changes:
        if change["action"] == "UPSERTED":
            by_id[change["id"]] = token(change)
        else:
            assert change["authorisation"] is None, change
            assert change["id"] in by_id, ("removed", change)
            instance = by_id.pop(change["id"])[1]
            assert change["token"]["instance"] in (instance, *_hashes(instance)), change
    return set(by_id.values())


def _hashes(instance: str) -> tuple[str, str]:
    plain = instance.upper().encode()
    return sha256(plain).hexdigest(), sha1(plain, usedforsecurity=False).hexdigest()


# ---------------------------------------------------------------- one beside the other


def check_answers(matrix: PrivateMatrix, worlds: Worlds, cursor: str) -> None:
    """Query in the name of every caller. `cursor`: of the first moment."""
    made = matrix.made
    unknown = made.hub.post(ROLE, headers={"Authorization": f"Bearer {new_secret()}"})
    for caller, world in callers_of(worlds):
        if world.is_refused(caller, AFTER):
            refused = made.hub.post(ROLE, headers=made.headers(caller))
            assert (refused.status_code, refused.content) == (401, unknown.content), caller
        else:
            _check_answer(matrix, worlds, caller, world, cursor)


def _check_answer(matrix: PrivateMatrix, worlds: Worlds, caller: Held | None, world: World, cursor: str) -> None:
    about = world.tokens[(caller.id if caller else 0) % len(world.tokens)]
    named = {"card": about.instance, "contract": about.contract_id, "printed": about.printed_number}
    named |= {"session": str(world.id_of("session", 0)), "partner": str(world.roles[-1].partner_id), "cursor": cursor}
    cdrs = [cdr_id(each) for each in world.cdrs] or ["DAXXXC1"]
    named |= {"cdr": cdrs[0], "tariff": world.tariffs[0].id, "provider": str(world.roles[RECIPIENT].party_id)}
    is_administrator = caller is CLEARING_HOUSE
    query = QUERIES[(caller.id if caller else world.number) % len(QUERIES)]
    data = matrix.ask(caller, query, {**named, **(matrix.after if is_administrator else {})})
    expected = Expected(worlds, caller)
    found, wanted = shown(data, expected.tokens(BEFORE)), expected.answer(named)
    if is_administrator and "refusals" in found:
        found["refusals"] &= wanted["refusals"]  # of all worlds, newest first
    if is_administrator:  # pages of all worlds, oldest first
        found = {name: each for name, each in found.items() if name not in ("tariffs", "askedTariffs")}
        operators = {each.party_id for each_world in worlds.worlds for each in each_world.roles}
        if "reconciliation" in found:
            found["reconciliation"] = {each for each in found["reconciliation"] if each[0] in operators}
    for name, value in found.items():
        assert value == wanted[name], (name, caller)
