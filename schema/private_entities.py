"""The entities whose lists and changes are read through `schema.private_changes`, and their searches."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, FromClause, Table, bindparam

from app.auth import Caller
from app.db.tables import authorisation, authorisation_request, cdr, session, tariff
from app.live.feeds.authorisation import AUTHORISATIONS, AuthorisationFilter
from app.live.feeds.authorisation_request import REQUESTS
from app.live.feeds.cdr import CDRS
from app.live.feeds.session import SESSIONS
from app.live.feeds.sides import SidesFilter
from app.live.feeds.tariff import TARIFFS, TariffFilter
from app.live.stream.feed import Feed
from app.read.authorisations import (
    CONDITIONS,
    ORDER,
    REMOVED_TOKENS,
    AuthorisationsInForce,
    in_force,
    not_removed,
)
from app.read.cdrs import ONE_CDR, CdrsInStates, started_before, started_from, with_operator, with_provider
from app.read.paging import check_first
from app.read.search import ById, Condition, Listing, Request
from app.records.token import Token, token_flaw
from app.visibility.rules import ROLE_ID
from app.vocabulary import CdrStatus, Role
from schema.private_changes import Arguments, Listed, PrivateEntity
from schema.search_arguments import BadFilter, by_uuid

ONE_SESSION: Final = ById(session, ("id",))
ONE_TARIFF: Final = ById(tariff, ("tariff_id",))


# ---------------------------------------------------------------- authorisations


def _authorisations(arguments: Arguments, caller: Caller | None) -> Listed:
    """List those in force; a search by a provider finds its expired ones too. Raises: BadFilter."""
    given = [name for name in CONDITIONS if arguments.get(name) is not None]
    if not given:
        return Listed(AuthorisationsInForce, {})
    is_own = caller is not None and caller.role is Role.EVSP
    where = (*(CONDITIONS[name] for name in given), not_removed if is_own else in_force)
    bound = {
        "token_key": _token_keys(arguments["token"]) if "token" in given else [],
        "contract_id": [arguments.get("contractId")],
        "printed_number": [arguments.get("printedNumber")],
    }
    return Listed(lambda after: Listing(authorisation, ORDER, where=where, after=after), bound, is_search=True)


def _token_keys(sent: Mapping[str, Any]) -> list[str]:
    """Return the keys of a token. Raises: BadFilter, which does not quote it."""
    token = Token(
        instance=sent["instance"],
        type=sent["type"],
        sub_type=sent.get("subType"),
        representation=sent["representation"],
    )
    flaw = token_flaw(token)
    if flaw is not None:
        raise BadFilter(f"token{flaw.path}: {flaw.message}")
    return token.keys.all


AUTHORISATION: Final = PrivateEntity(
    feed=AUTHORISATIONS,
    wanted=lambda arguments, caller: AuthorisationFilter(),
    listed=_authorisations,
    by_ids=Listing(authorisation, ORDER, filters=("id",), where=(in_force,)),
    id_of=UUID,
    items="changes",
    parts=frozenset({"token", "authorisation"}),
    removed=REMOVED_TOKENS,
    removed_part="token",
)


# ---------------------------------------------------------------- sessions and requests


def of_operator(table: FromClause) -> ColumnElement[bool]:
    return table.c.operator_role_id == ROLE_ID


def of_provider(table: FromClause) -> ColumnElement[bool]:
    return table.c.provider_role_id == ROLE_ID


def own(caller: Caller | None) -> tuple[Condition, ...]:
    """Return the side that a caller is, if its role tells: the index of that side has a page's rows in order."""
    match caller.role if caller else None:
        case Role.EVSE_OPERATOR:
            return (of_operator,)
        case Role.EVSP:
            return (of_provider,)
        case _:
            return ()


def _of_sides(
    table: Table, feed: Feed, order: tuple[str, ...], id_of: Callable[[str], Any], items: str
) -> PrivateEntity:
    """Return an entity whose rows belong to an operator and a provider, and are never removed."""

    def listed(arguments: Arguments, caller: Caller | None) -> Listed:
        return Listed(lambda after: Listing(table, order, where=own(caller), after=after), {})

    def wanted(arguments: Arguments, caller: Caller | None) -> SidesFilter:
        return SidesFilter(feed, caller.role_id if caller else None)

    by_ids = Listing(table, ("id",), filters=("id",))
    return PrivateEntity(feed, wanted, listed, by_ids, id_of, items)


SESSION_ORDER: Final = ("authorised_at", "id")
SESSION: Final = _of_sides(session, SESSIONS, SESSION_ORDER, UUID, "sessions")
REQUEST_ORDER: Final = ("at", "id")
REQUEST: Final = _of_sides(authorisation_request, REQUESTS, REQUEST_ORDER, int, "requests")


# ---------------------------------------------------------------- CDRs

#: The states of the CDRs that wait for a role.
WAITING: Final[Mapping[Role, tuple[CdrStatus, ...]]] = {
    Role.EVSP: (CdrStatus.ACCEPTED, CdrStatus.REVISED),
    Role.EVSE_OPERATOR: (CdrStatus.DECLINED,),
}


def _waiting(caller: Caller | None) -> list[str]:
    return [] if caller is None else [state.value for state in WAITING.get(caller.role, ())]


def _waiting_cdrs(arguments: Arguments, caller: Caller | None) -> Listed:
    return Listed(lambda after: CdrsInStates(own(caller), after), {"states": _waiting(caller)})


CDR: Final = PrivateEntity(
    feed=CDRS,
    wanted=lambda _, caller: SidesFilter(CDRS, caller.role_id if caller else None),
    listed=_waiting_cdrs,
    by_ids=Listing(cdr, ("id",), filters=("id",)),
    id_of=UUID,
    items="cdrs",
)

# ---------------------------------------------------------------- tariffs

TARIFF_ORDER: Final = ("tariff_id",)
TARIFF: Final = PrivateEntity(
    feed=TARIFFS,
    wanted=lambda arguments, caller: TariffFilter.of(caller, arguments.get("providerId")),
    listed=lambda arguments, caller: Listed(lambda after: Listing(tariff, TARIFF_ORDER, after=after), {}),
    by_ids=Listing(tariff, TARIFF_ORDER, filters=TARIFF_ORDER),
    id_of=str,
    items="changes",
    key="tariff_id",
    parts=frozenset({"tariff"}),
)


# ---------------------------------------------------------------- what is followed

#: By the field of `Subscription`.
FOLLOWED: Final[Mapping[str, PrivateEntity]] = {
    "roamingAuthorisationChanges": AUTHORISATION,
    "sessionChanges": SESSION,
    "authorisationRequestChanges": REQUEST,
    "cdrChanges": CDR,
    "tariffChanges": TARIFF,
}


# ---------------------------------------------------------------- root fields


def one_session(arguments: Arguments, caller: Caller | None) -> Request | None:
    return by_uuid(ONE_SESSION, arguments["id"])


def one_tariff(arguments: Arguments, caller: Caller | None) -> Request:
    return Request(ONE_TARIFF, {"tariff_id": arguments["tariffId"], "provider_id": arguments.get("providerId")})


def active(table: FromClause) -> ColumnElement[bool]:
    return table.c.status == "ACTIVE"


def not_active(table: FromClause) -> ColumnElement[bool]:
    return table.c.status != "ACTIVE"


def sessions(arguments: Arguments, caller: Caller | None) -> Request:
    is_active: bool | None = arguments.get("active")
    states = () if is_active is None else (active if is_active else not_active,)
    after = arguments.get("after")
    search = Listing(session, SESSION_ORDER, descending=True, where=(*own(caller), *states), after=after is not None)
    return Request(search, {}, check_first(arguments["first"]), after)


def asked_from(table: FromClause) -> ColumnElement[bool]:
    return table.c.at >= bindparam("asked_from", type_=DateTime(timezone=True))


def asked_to(table: FromClause) -> ColumnElement[bool]:
    return table.c.at < bindparam("asked_to", type_=DateTime(timezone=True))


def authorisation_requests(arguments: Arguments, caller: Caller | None) -> Request:
    conditions = {"from": asked_from, "to": asked_to}
    given = {name: each for name, each in conditions.items() if arguments.get(name) is not None}
    where = (*own(caller), *given.values())
    bound = {f"asked_{name}": arguments[name] for name in given}
    after = arguments.get("after")
    search = Listing(authorisation_request, REQUEST_ORDER, descending=True, where=where, after=after is not None)
    return Request(search, bound, check_first(arguments["first"]), after)


def one_cdr(arguments: Arguments, caller: Caller | None) -> Request:
    return Request(ONE_CDR, {"cdr_id": arguments["cdrId"], "evse_id": arguments.get("evseId")})


def cdrs(arguments: Arguments, caller: Caller | None) -> Request:
    """List those in some states; without `status` those that wait for the caller."""
    status = arguments.get("status")
    is_operator = caller is not None and caller.role is Role.EVSE_OPERATOR
    conditions: dict[str, tuple[str, Condition]] = {
        "from": ("started_from", started_from),
        "to": ("started_before", started_before),
        "counterparty": ("counterparty", with_provider if is_operator else with_operator),
    }
    given = [name for name in conditions if arguments.get(name) is not None]
    bound = {conditions[name][0]: arguments[name] for name in given}
    bound["states"] = _waiting(caller) if status is None else list(dict.fromkeys(word.value for word in status))
    after = arguments.get("after")
    search = CdrsInStates((*own(caller), *(conditions[name][1] for name in given)), after is not None)
    return Request(search, bound, check_first(arguments["first"]), after)
