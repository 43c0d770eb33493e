"""What a viewer may see, as sets in memory: now, and at any earlier position of the change log that cursors still name.

The rows of `viewer_scope` carry the transactions that began and ended them, so both are one select.
`app.visibility.rules` says the same in SQL, of now.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from app.auth import Caller
from app.db.engine import Reader
from app.vocabulary import Role

EVERYBODY: Final = 0

EVSP: Final = Role.EVSP.value
NSP: Final = Role.NSP.value
#: The roles that read tokens of the providers they have contracts with, or are; see `visible_providers` in SQL.
READS_TOKENS: Final = frozenset({Role.EVSE_OPERATOR.value, EVSP})


@dataclass(frozen=True, slots=True)
class Viewer:
    """A caller, as far as visibility depends on it.

    `provider_id`: the provider that it asks about: only EVSEs where its customers can charge, and its tariffs. `role`:
    the one that it acts in, as a plain text, which is hashed quickly; empty without a key.
    """

    role_id: int | None
    administrator: bool = False
    provider_id: str | None = None
    role: str = ""

    @classmethod
    def of(cls, caller: Caller | None, provider_id: str | None = None) -> "Viewer":
        if caller is None:
            return cls(None, False, provider_id)
        return cls(caller.role_id, caller.is_administrator, provider_id, caller.role.value)


@dataclass(frozen=True, slots=True)
class ViewerScope:
    """What a viewer sees. None: everything.

    `evses_of`: the operators whose EVSEs it sees; `operators`: those through which it sees spots, more than `evses_of`
    where only a provider's EVSEs are asked for; `psos`: the parking spot operators, by party id; `providers`: the roles
    whose tokens it reads; `individual`: the operators of which it is shown a provider's individual tariffs.
    """

    evses_of: frozenset[int] | None = frozenset()
    operators: frozenset[int] | None = frozenset()
    psos: frozenset[str] = frozenset()
    role_id: int | None = None
    providers: frozenset[int] = frozenset()
    individual: frozenset[int] = frozenset()

    def sees_evse_of(self, operator_no: int) -> bool:
        """Return whether EVSEs of an operator are seen."""
        return self.evses_of is None or operator_no in self.evses_of

    def sees_through(self, operator_no: int) -> bool:
        """Return whether a spot is seen through an operator; 0: the PSO, which is not one."""
        return operator_no != EVERYBODY and (self.operators is None or operator_no in self.operators)

    def minus(self, other: "ViewerScope") -> "Difference":
        """Return what this scope sees and another does not."""
        return Difference(
            _minus(self.evses_of, other.evses_of),
            _minus(self.operators, other.operators),
            self.psos - other.psos,
            self.providers - other.providers,
            self.individual - other.individual,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """Operators, PSOs and providers that came into view or went out of it."""

    evses_of: frozenset[int] = frozenset()
    operators: frozenset[int] = frozenset()
    psos: frozenset[str] = frozenset()
    providers: frozenset[int] = frozenset()
    individual: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.evses_of or self.operators or self.psos or self.providers or self.individual)

    def __or__(self, other: "Difference") -> "Difference":
        return Difference(
            self.evses_of | other.evses_of,
            self.operators | other.operators,
            self.psos | other.psos,
            self.providers | other.providers,
            self.individual | other.individual,
        )


def _minus(one: frozenset[int] | None, other: frozenset[int] | None) -> frozenset[int]:
    """Return a difference of operators. A scope that sees everything never becomes one that does not."""
    return frozenset() if one is None or other is None else one - other


NOTHING: Final = ViewerScope()


class _Row(NamedTuple):
    kind: str
    subject: int
    party_id: str | None
    valid_until: datetime | None
    began: int
    ended: int | None


#: Rows that ended before `$2` and are not of `$3` ended before the position that is asked about.
ROWS: Final = """
select scope.role_id, kind, subject, held.party_id, valid_until, began, ended
from viewer_scope as scope left join partner_role as held on kind = 'PSO' and held.id = subject
where scope.role_id = any($1) and (ended is null or ended >= $2 or ended = any($3))
"""

PROVIDERS: Final = """
select party_id, id from partner_role where role = 'EVSP' and revoked_at is null and party_id = any($1)
"""

#: No transaction has this number: only rows that have not ended are asked for.
NEVER: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ScopeRows:
    """The rows behind the scopes of some viewers, since a position. `now`: the time of the snapshot that read them."""

    by_role: Mapping[int, Collection[_Row]]
    providers: Mapping[str, int]
    now: datetime

    def at(self, viewer: Viewer, sees: Callable[[int], bool], instant: datetime) -> ViewerScope:
        """Return what a viewer saw at an instant, in a snapshot that shows the transactions that `sees` is true of."""

        def holds(row: _Row) -> bool:
            in_force = sees(row.began) and (row.ended is None or not sees(row.ended))
            return in_force and (row.valid_until is None or row.valid_until > instant)

        return self._scope(viewer, holds)

    def present(self, viewer: Viewer) -> ViewerScope:
        """Return what a viewer sees in the snapshot that the rows were read in."""
        return self._scope(
            viewer, lambda row: row.ended is None and (row.valid_until is None or row.valid_until > self.now)
        )

    @property
    def changes_at(self) -> datetime | None:
        """Return when the clock will change a scope; None: it will not."""
        ends = (row.valid_until for rows in self.by_role.values() for row in rows if row.ended is None)
        return min((end for end in ends if end is not None and end > self.now), default=None)

    def _scope(self, viewer: Viewer, holds: Callable[[_Row], bool]) -> ViewerScope:
        own = [row for row in self._rows(viewer.role_id) if holds(row)]
        operators = frozenset(row.subject for row in own if row.kind == "OPERATOR")
        psos = frozenset(row.party_id for row in own if row.kind == "PSO" and row.party_id is not None)
        its_providers = frozenset(row.subject for row in own if row.kind == "EVSP")
        providers = its_providers if viewer.role in READS_TOKENS else frozenset[int]()
        individual = operators & self._individual(viewer, its_providers, holds)
        seen = None if viewer.administrator else operators
        if viewer.provider_id is None:
            return ViewerScope(seen, seen, psos, viewer.role_id, providers, individual)
        its = self._of_provider(viewer, own, holds)
        evses_of = its if seen is None else its & seen
        return ViewerScope(evses_of, seen, psos, viewer.role_id, providers, individual)

    def _individual(
        self, viewer: Viewer, its_providers: frozenset[int], holds: Callable[[_Row], bool]
    ) -> frozenset[int]:
        """Return the operators of which a viewer is shown a provider's tariffs, whether or not it sees them itself.

        The provider is an EVSP itself, and for an NSP the one that it asks about and has a contract with.
        """
        is_own = viewer.provider_id is None and viewer.role == EVSP
        provider = viewer.role_id if is_own else self.providers.get(viewer.provider_id or "")
        may_ask = (
            provider == viewer.role_id if viewer.role == EVSP else viewer.role == NSP and provider in its_providers
        )
        rows = self._rows(provider) if may_ask else ()
        return frozenset(row.subject for row in rows if row.kind == "OPERATOR" and holds(row))

    def _of_provider(self, viewer: Viewer, own: Iterable[_Row], holds: Callable[[_Row], bool]) -> frozenset[int]:
        provider = self.providers.get(viewer.provider_id or "")
        may_ask = viewer.administrator or any(row.kind == "EVSP" and row.subject == provider for row in own)
        if provider is None or not may_ask:
            return frozenset()
        return frozenset(row.subject for row in self.by_role.get(provider, ()) if row.kind == "OPERATOR" and holds(row))

    def _rows(self, role_id: int | None) -> Iterable[_Row]:
        yield from self.by_role.get(EVERYBODY, ())
        if role_id is not None:
            yield from self.by_role.get(role_id, ())


async def read_scope_rows(
    reader: Reader,
    viewers: Collection[Viewer],
    now: datetime,
    since: int = NEVER,
    running: Collection[int] = (),
) -> ScopeRows:
    """Read what viewers see now, and saw since a snapshot whose `xmax` is `since` and whose `xip` is `running`.

    `now`: the time of the reader's transaction.
    """
    asked = {viewer.provider_id for viewer in viewers} - {None}
    providers = {row[0]: row[1] for row in await reader.fetch(PROVIDERS, list(asked))} if asked else {}
    roles = {EVERYBODY, *providers.values(), *(each.role_id for each in viewers if each.role_id is not None)}
    by_role: dict[int, list[_Row]] = {}
    for role_id, *values in await reader.fetch(ROWS, list(roles), since, list(running)):
        by_role.setdefault(role_id, []).append(_Row(*values))
    return ScopeRows(by_role, providers, now)
