"""Searches for roaming authorisations: pages of those in force, some by their token, and tokens of removed ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Integer, Select, Table, Uuid, and_, bindparam, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables import authorisation
from app.read.search import LIMIT, Condition, any_of, beyond
from app.visibility.rules import ROLE_ID, CallerKind, visible

ORDER: Final = ("id",)


def in_force(table: FromClause) -> ColumnElement[bool]:
    return and_(table.c.removed_at.is_(None), ~table.c.expired)


def not_removed(table: FromClause) -> ColumnElement[bool]:
    return table.c.removed_at.is_(None)


def by_id(table: FromClause) -> ColumnElement[bool]:
    return table.c.id == any_of("id", table.c.id)


def by_token(table: FromClause) -> ColumnElement[bool]:
    """Two tokens are the same where their sets of keys meet."""
    keys = any_of("token_key", table.c.token_key)
    return or_(table.c.token_key == keys, table.c.token_key_160 == keys)


def by_contract(table: FromClause) -> ColumnElement[bool]:
    return table.c.contract_id == any_of("contract_id", table.c.contract_id)


def by_printed_number(table: FromClause) -> ColumnElement[bool]:
    return table.c.printed_number == any_of("printed_number", table.c.printed_number)


@dataclass(frozen=True, slots=True)
class AuthorisationsInForce:
    """The authorisations in force of all providers that the caller reads, by id.

    Each provider's are read in the order of its own index, no further than the page reaches.
    """

    after: bool = False

    table: Table = authorisation
    order: tuple[str, ...] = ORDER
    descending: bool = False
    given: frozenset[str] = frozenset()
    single: bool = False
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        row = self.table
        provider = func.visible_providers(ROLE_ID, type_=Integer).table_valued("role_id", name="provider")
        provider = provider.render_derived()
        conditions = [row.c.provider_role_id == provider.c.role_id, visible(row, caller_kind), in_force(row)]
        if self.after:
            conditions.append(beyond(row, self.order, self.descending))
        columns = [row.c[name] for name in dict.fromkeys((*names, *self.order))]
        page = select(*columns).where(*conditions).order_by(row.c.id).limit(LIMIT).correlate(provider).lateral("page")
        shown: list[ColumnElement[Any]] = [page.c[each.name] for each in columns]
        found: Select[Any] = select(*shown)
        return found.select_from(provider.join(page, true())).order_by(page.c.id).limit(LIMIT)


@dataclass(frozen=True, slots=True)
class RemovedTokens:
    """The tokens of authorisations that are taken away from the caller, by the ids of these.

    `removed_tokens` decides who may learn them: the rule of the table does not show them any more.
    """

    table: Table = authorisation
    order: tuple[str, ...] = ORDER
    descending: bool = False
    given: frozenset[str] = frozenset()
    single: bool = False
    planned: bool = False

    def found(self, names: Sequence[str], caller_kind: CallerKind) -> Select[Any]:
        ids = bindparam("id", type_=ARRAY(Uuid))
        columns = [self.table.c[name] for name in ("id", "token_type", "token_sub_type", "representation", "instance")]
        token = func.removed_tokens(ids).table_valued(*columns, name="token").render_derived()
        return select(*(token.c[name] for name in dict.fromkeys((*names, *self.order))))


REMOVED_TOKENS: Final = RemovedTokens()
CONDITIONS: Final[dict[str, Condition]] = {
    "token": by_token,
    "contractId": by_contract,
    "printedNumber": by_printed_number,
}
