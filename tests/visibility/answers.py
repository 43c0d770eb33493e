"""What every read of private rows shows to a caller, beside what the model says that it shows."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Any
from uuid import UUID

from app.auth import new_secret
from tests.visibility.private_matrix import PrivateMatrix, callers_of
from tests.visibility.worlds import AFTER, BEFORE, Shared, Token, TokenState, World, Worlds
from tests.visibility_matrix import CLEARING_HOUSE, EVSP, OPERATOR, Held

# ---------------------------------------------------------------- what is asked

TOKENS = "changes { action id token { instance } authorisation { contractId printedNumber } }"
SESSIONS = "sessions { id contradictions token { instance } }"
REQUESTS = "requests { id authorisation { id } session { id } }"
FOLLOWED = {
    "roamingAuthorisationChanges": TOKENS,
    "sessionChanges": SESSIONS,
    "authorisationRequestChanges": REQUESTS,
}
TOKEN_CHANGES, SESSION_CHANGES, REQUEST_CHANGES = FOLLOWED
ROWS = """
    me { role partner { id } contracts { id } }
    partners(first: 500, after: $partners) {
        nodes { id roles { role } apiKeys { id } } }
    partner(id: $partner) { id }
    contracts(first: 500, after: $contracts) {
        nodes { id status parties { partnerId role } } }
    session(id: $session) { id }
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
    """,
    f"""
    refusals(first: 100) {{ nodes {{ id }} }}
    byToken: roamingAuthorisations(token: {{ instance: $card, type: RFID }}) {{ {TOKENS} }}
    roamingAuthorisationChanges: roamingAuthorisations(cursor: $cursor) {{ {TOKENS} }}
    allRequests: authorisationRequestChanges {{ {REQUESTS} }}
    """,
    f"""
    byContract: roamingAuthorisations(contractId: $contract) {{ {TOKENS} }}
    byNumber: roamingAuthorisations(printedNumber: $printed) {{ {TOKENS} }}
    sessionChanges(cursor: $cursor) {{ {SESSIONS} }}
    """,
)
VARIABLES = {
    "partner": "ID!",
    "partners": "String",
    "contracts": "String",
    "auditLog": "String",
    "session": "ID!",
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
    }
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


def request(node: Any) -> tuple[Any, ...]:
    referred = (node["authorisation"], node["session"])
    return node["id"], *(each["id"] for each in referred if each is not None)


#: How nodes of a connection are compared, where not by their ids.
NODES = {"contracts": _contract, "sessions": session, "authorisationRequests": request}


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
    is_administrator = caller is CLEARING_HOUSE
    query = QUERIES[(caller.id if caller else world.number) % len(QUERIES)]
    data = matrix.ask(caller, query, {**named, **(matrix.after if is_administrator else {})})
    expected = Expected(worlds, caller)
    found, wanted = shown(data, expected.tokens(BEFORE)), expected.answer(named)
    if is_administrator and "refusals" in found:
        found["refusals"] &= wanted["refusals"]  # of all worlds, newest first
    for name, value in found.items():
        assert value == wanted[name], (name, caller)
