"""What a caller may see of each table, in one place. A table without a rule here cannot be read through GraphQL.

A rule is a predicate over the table's row, in SQL, with the caller as bind parameters; the plan of every read, nested
ones too, carries it. Private tables are protected a second time by row-level security
(app/db/sql/policies.sql).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import array as pg_array
from sqlalchemy.sql.selectable import AliasedReturnsRows

from app.auth import Caller
from app.db.tables import (
    api_key,
    audit_log,
    authorisation,
    authorisation_answer,
    authorisation_request,
    cdr,
    cdr_content,
    cdr_occupancy,
    change,
    contract,
    evse,
    evse_parking_spot,
    evse_status,
    individual_tariff,
    installed_sql,
    list_part,
    listed_authorisation,
    listed_evse,
    listed_parking_spot,
    location,
    log_mark,
    log_state,
    operator,
    parking_place,
    parking_spot,
    parking_status,
    partner,
    partner_role,
    refusal,
    session,
    status_expiry,
    status_history,
    tariff,
    tariff_recipient,
    upload_list,
    viewer_scope,
    viewer_scope_due,
    workflow_chain,
    workflow_history,
)


class CallerKind(StrEnum):
    """The three kinds of caller for whom plans differ; everything else about a caller is a bind parameter."""

    ANONYMOUS = "ANONYMOUS"
    PARTNER = "PARTNER"
    ADMINISTRATOR = "ADMINISTRATOR"


class NoVisibilityRule(Exception):
    """A table is read that has no rule."""


Rule = Callable[[FromClause, CallerKind], ColumnElement[bool]]

#: Names of subqueries that have rules of their own; see app/read/parking.py, live.py.
PUBLISHED_SPOT = "published_spot"
SPOT_STATUS = "spot_status"

ROLE_ID = bindparam("caller_role_id", type_=Integer)
PARTNER_ID = bindparam("caller_partner_id", type_=Uuid)
#: The provider that a request is about, by the argument or filter of this name; null: none is named.
PROVIDER_ID = bindparam("provider_id", type_=Text)

OPERATOR: ColumnElement[Any] = literal_column("'OPERATOR'")
#: Individual tariffs as `app.read.offers` reads them, which asks itself for the ones that are meant for the caller.
OFFERED_TARIFF = select(individual_tariff).subquery("offered_tariff")

#: The number of the individual tariff without recipients.
DEFAULT: ColumnElement[Any] = literal_column("0")
HIGHEST: ColumnElement[Any] = literal_column("2147483647")


def caller_kind_of(caller: Caller | None) -> CallerKind:
    """Return the kind of a caller, which selects its plan."""
    if caller is None:
        return CallerKind.ANONYMOUS
    return CallerKind.ADMINISTRATOR if caller.is_administrator else CallerKind.PARTNER


def caller_arguments(caller: Caller | None) -> Mapping[str, Any]:
    """Return the bind parameters that the rules name, without the provider that a request may be about."""
    if caller is None:
        return {"caller_role_id": None, "caller_partner_id": None}
    return {"caller_role_id": caller.role_id, "caller_partner_id": caller.partner_id}


def visible(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Return the predicate for the rows of `table` (or of an alias of it) that such a caller may see.

    Raises: NoVisibilityRule when the table has no rule.
    """
    rule = _rule_of(table)
    if rule is None:
        raise NoVisibilityRule(
            f"no rule says who may see rows of {table_name(table)}; add one to app/visibility/rules.py"
        )
    return rule(table, caller_kind)


def visible_of_many(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Return the same predicate for statements that look at many rows.

    Operators are looked up in a hash: that takes longer to make than an array, but then a row costs the same however
    many there are. Raises: NoVisibilityRule.
    """
    if _rule_of(table) is _by_operator:
        return (
            true()
            if caller_kind is CallerKind.ADMINISTRATOR
            else _mostly(table.c.operator_no.in_(_numbers_seen(caller_kind)))
        )
    return visible(table, caller_kind)


def _rule_of(table: FromClause) -> Rule | None:
    name = table_name(table)
    return RULES.get(name) or SELECTIONS.get(name)


def seen(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Return which operators' rows a caller sees, for the indexes: where these are few, they lead to the rows."""
    return _is_of_those_seen(table.c.operator_no, caller_kind)


def table_name(table: FromClause) -> str:
    """Return the name of a table, or of the one behind an alias."""
    original: Any = getattr(table, "element", None)
    # An alias has an element that is a table again; a subquery's is a select, and it has a name of its own.
    return str(original.name if isinstance(original, Table | AliasedReturnsRows) else getattr(table, "name", table))


def _of_operator(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Show open operators to every caller, and those of active contracts to partners."""
    return true() if caller_kind is CallerKind.ADMINISTRATOR else _mostly(_is_of_those_seen(table.c.no, caller_kind))


def _by_operator(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Rows of the operators seen."""
    return (
        true()
        if caller_kind is CallerKind.ADMINISTRATOR
        else _mostly(_is_of_those_seen(table.c.operator_no, caller_kind))
    )


def _mostly(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Keep a condition from the indexes.

    The planner cannot know how many operators that will be, takes them for few and would read them all by their index:
    inside coalesce it takes the condition for what it mostly is, a filter on rows found otherwise.
    """
    return func.coalesce(condition, false())


def _is_of_those_seen(number: ColumnElement[Any], caller_kind: CallerKind) -> ColumnElement[bool]:
    """Compare with numbers that are read once per statement, not per row."""
    return number == func.any(_operators_seen(caller_kind))


def _operators_seen(caller_kind: CallerKind) -> ColumnElement[Any]:
    """Return the numbers of the operators whose EVSEs such a caller sees, as an array."""
    return func.array(_numbers_seen(caller_kind).scalar_subquery(), type_=ARRAY(Integer))


def _numbers_seen(caller_kind: CallerKind) -> Select[Any]:
    if caller_kind is CallerKind.ANONYMOUS:
        return select(operator.c.no).where(operator.c.open, ~operator.c.suspended)
    return select(func.visible_operators(ROLE_ID, type_=Integer).column_valued())


def _of_spot(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Show a spot to callers that see one of its EVSEs, to its PSO, and to partners that have a contract with that."""
    return _through(table.c.operator_nos, _of_pso(table), caller_kind)


def _of_place(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Show a place to each caller that sees one of the EVSEs there; the PSO's own, as all that it publishes."""
    return _through(table.c.operator_nos, and_(table.c.own, _of_pso(table)), caller_kind)


def _of_published(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Show what a PSO publishes to callers that see the PSO, or an operator of `contracted_nos`."""
    return _through(table.c.contracted_nos, _of_pso(table), caller_kind)


def _of_spot_status(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Show of the statuses of a spot the one that counts for the caller: the highest `rank` of those that it sees.

    The PSO's is seen as all that it publishes, an operator's by callers that see the operator.
    """
    aliased: Any = table
    other: FromClause = aliased.element.alias()
    better = and_(other.c.parking_id == table.c.parking_id, other.c.rank > table.c.rank, _says(other, caller_kind))
    return and_(_says(table, caller_kind), ~select(other.c.parking_id).where(better).correlate(table).exists())


def _says(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    return _through(table.c.operator_nos, and_(table.c.by_pso, _of_pso(table)), caller_kind)


def _through(
    operator_nos: ColumnElement[Any], of_pso: ColumnElement[bool], caller_kind: CallerKind
) -> ColumnElement[bool]:
    """Show a row to callers that see one of these operators, or to partners by their contracts with a PSO."""
    if caller_kind is CallerKind.ADMINISTRATOR:
        return true()
    seen = operator_nos.overlap(_operators_seen(caller_kind))
    return func.coalesce(or_(seen, of_pso) if caller_kind is CallerKind.PARTNER else seen, false())


def _of_pso(table: FromClause) -> ColumnElement[bool]:
    psos = select(func.visible_parking_operators(ROLE_ID, type_=Text).column_valued()).scalar_subquery()
    return table.c.party_id == func.any(func.array(psos, type_=ARRAY(Text)))


def _own(*columns: str) -> Rule:
    """Return the rule for rows that belong to the partners in these columns."""
    return _belonging(PARTNER_ID, columns)


def of_two_roles(first: str, second: str) -> Rule:
    """Return the rule for rows that belong to two roles, not to their partners: these columns hold their ids."""
    return _belonging(ROLE_ID, (first, second))


def _belonging(caller: ColumnElement[Any], columns: tuple[str, ...]) -> Rule:
    """Show rows to the callers in these columns, all rows to the administrator, none without a key."""

    def rule(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
        if caller_kind is CallerKind.ADMINISTRATOR:
            return true()
        if caller_kind is CallerKind.ANONYMOUS:
            return false()
        return or_(*(table.c[column] == caller for column in columns))

    return rule


def _sides_only(first: str, second: str | None = None) -> Rule:
    """Return the rule for rows that the two roles in these columns see, and the administrator does not."""
    belonging = _belonging(ROLE_ID, (first,) if second is None else (first, second))

    def rule(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
        return belonging(table, caller_kind) if caller_kind is CallerKind.PARTNER else false()

    return rule


def _of_provider(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Show a provider's rows to itself and to the operators that have a contract with it only."""
    if caller_kind is not CallerKind.PARTNER:
        return false()
    providers = select(func.visible_providers(ROLE_ID, type_=Integer).column_valued()).scalar_subquery()
    return table.c.provider_role_id == func.any(func.array(providers, type_=ARRAY(Integer)))


def is_own(operator_no: ColumnElement[Any]) -> ColumnElement[bool]:
    """Compare an operator's number with that of the operator that the caller holds."""
    own = select(operator.c.no).where(operator.c.role_id == ROLE_ID).scalar_subquery()
    return operator_no == func.any(func.array(own, type_=ARRAY(Integer)))


def meant_for_caller(
    tariff_id: ColumnElement[Any], column: ColumnElement[Any], provider_id: ColumnElement[Any] = PROVIDER_ID
) -> ColumnElement[Any]:
    """Return a column of `tariff_recipient` for the provider whose tariffs the caller is shown; null: there is none.

    `provider_id`: the provider that is asked about. Only at operators that it sees itself.
    """
    provider = func.tariff_provider(ROLE_ID, provider_id, type_=Integer)
    party_id = select(partner_role.c.party_id).where(partner_role.c.id == provider).scalar_subquery()
    seen = select(func.visible_subjects(provider, OPERATOR, type_=Integer).column_valued()).scalar_subquery()
    return (
        select(column)
        .where(
            tariff_recipient.c.tariff_id == tariff_id,
            tariff_recipient.c.party_id == party_id,
            tariff_recipient.c.operator_no == func.any(func.array(seen, type_=ARRAY(Integer))),
        )
        .correlate(tariff_id.table)
        .scalar_subquery()
    )


def is_number_shown(
    number: ColumnElement[Any], tariff_id: ColumnElement[Any], operator_no: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Compare with the numbers of the individual tariffs that a caller is shown, as a range: an index finds them.

    The rule of the table says the same of each row, but would look at every row of the tariff.
    """
    meant = func.coalesce(meant_for_caller(tariff_id, tariff_recipient.c.number), DEFAULT)
    lowest, highest = (
        select(case((is_own(operator_no), end), else_=meant)).correlate(tariff_id.table).scalar_subquery()
        for end in (DEFAULT, HIGHEST)
    )
    return and_(number >= lowest, number <= highest)


def _meant(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Show all individual tariffs to their operator, and to every other caller the one that is meant for it."""
    if caller_kind is not CallerKind.PARTNER:
        return table.c.number == DEFAULT
    number = meant_for_caller(table.c.tariff_id, tariff_recipient.c.number)
    return or_(is_own(table.c.operator_no), table.c.number == func.coalesce(number, DEFAULT))


def _own_operator(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    return is_own(table.c.operator_no) if caller_kind is CallerKind.PARTNER else false()


def _concerned(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    if caller_kind is CallerKind.PARTNER:
        return table.c.partner_ids.contains(pg_array([PARTNER_ID]))
    return true() if caller_kind is CallerKind.ADMINISTRATOR else false()


def _nobody(table: FromClause, caller_kind: CallerKind) -> ColumnElement[bool]:
    """Rows that the hub keeps for itself: never the root of a read."""
    return false()


RULES: Mapping[str, Rule] = {
    evse.name: _by_operator,
    location.name: _by_operator,
    operator.name: _of_operator,
    parking_spot.name: _of_spot,
    parking_place.name: _of_place,
    **dict.fromkeys((evse_parking_spot.name, upload_list.name, list_part.name), _nobody),
    **dict.fromkeys((listed_authorisation.name, listed_evse.name, listed_parking_spot.name), _nobody),
    **dict.fromkeys((evse_status.name, parking_status.name, status_expiry.name, status_history.name), _nobody),
    **dict.fromkeys((change.name, log_mark.name, log_state.name), _nobody),
    **dict.fromkeys((viewer_scope.name, viewer_scope_due.name), _nobody),
    partner.name: _own("id"),
    partner_role.name: _own("partner_id"),
    api_key.name: _own("partner_id"),
    contract.name: _own("first_partner_id", "second_partner_id"),
    audit_log.name: _concerned,
    refusal.name: _own("partner_id"),
    workflow_history.name: of_two_roles("first_role_id", "second_role_id"),
    workflow_chain.name: _own("first_partner_id", "second_partner_id"),
    authorisation.name: _of_provider,
    authorisation_request.name: _sides_only("operator_role_id", "provider_role_id"),
    authorisation_answer.name: _sides_only("operator_role_id"),
    session.name: _sides_only("operator_role_id", "provider_role_id"),
    cdr.name: _sides_only("operator_role_id", "provider_role_id"),
    cdr_content.name: _sides_only("operator_role_id", "provider_role_id"),
    cdr_occupancy.name: _nobody,
    tariff.name: _by_operator,
    individual_tariff.name: _meant,
    tariff_recipient.name: _own_operator,
    installed_sql.name: _nobody,
}

#: Parts of tables with rules of their own, which are read instead of the tables.
SELECTIONS: Mapping[str, Rule] = {
    PUBLISHED_SPOT: _of_published,
    SPOT_STATUS: _of_spot_status,
    OFFERED_TARIFF.name: _by_operator,
}

#: Tables with row-level security: a statement that reads one must say who is asking.
PRIVATE = frozenset(
    {
        *(api_key.name, contract.name, audit_log.name, refusal.name, workflow_history.name, workflow_chain.name),
        *(authorisation.name, authorisation_request.name, authorisation_answer.name, session.name),
        *(cdr.name, cdr_content.name, cdr_occupancy.name),
        *(tariff.name, individual_tariff.name, tariff_recipient.name),
    }
)
