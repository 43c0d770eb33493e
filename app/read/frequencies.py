"""How rare filters are, by what PostgreSQL's planner knows of the EVSEs: a few kilobytes, read every ten minutes.

They decide how the nearest rows are looked for, never which ones are found, so they may well be old or missing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from app.db.engine import Database
from app.read.areas import SEEN, AreaKind, AreaSearch
from app.read.search import Request
from app.visibility.rules import CallerKind
from app.vocabulary import standards_of

KEPT_S = 600
#: Of fewer EVSEs all are soon walked.
WORTH_CHOOSING = 10_000
#: So many neighbours cost no more than beginning to look for the few.
WALK_LEAST = 100
#: Reading a row by an index takes so much of what going to the next neighbour does.
FIND_TO_WALK = 1 / 3
#: The planner takes the rows of named operators for few and never walks. Up to so many rows it is right.
NAMED_FEW = 20_000
#: Of so many rows it is worth while to sort out by the index of positions which are near at all.
MANY = 5_000

COLUMNS = """
select attname, null_frac, most_common_vals::text::text[] as values, most_common_freqs::float8[] as shares,
    histogram_bounds::text::text[] as bounds, (select reltuples from pg_class where oid = 'evse'::regclass) as rows
from pg_stats
where tablename = 'evse' and schemaname = 'public'
and attname in ('operator_no', 'connector_mask', 'maximum_power_kw', 'location_type')
"""
OPERATORS = """
select no, party_id, open and not suspended as seen from operator where no = any($1)
union all
select null, null, avg((open and not suspended)::int) >= 0.5 from operator where no != all($1)
"""


@dataclass(frozen=True, slots=True)
class Column:
    """The most common values with their shares, and bounds that cut the other values into parts of equal size."""

    nulls: float
    shares: Mapping[float, float]
    bounds: Sequence[float]

    def at_least(self, least: float) -> float:
        """Return the share of rows with such a value."""
        common = sum(share for value, share in self.shares.items() if value >= least)
        others = max(0.0, 1 - self.nulls - sum(self.shares.values()))
        above = sum(bound >= least for bound in self.bounds) / len(self.bounds) if self.bounds else 0.0
        return common + others * above

    def at_most(self, most: float) -> float:
        """Return the share of rows with such a value."""
        common = sum(share for value, share in self.shares.items() if value <= most)
        others = max(0.0, 1 - self.nulls - sum(self.shares.values()))
        below = sum(bound <= most for bound in self.bounds) / len(self.bounds) if self.bounds else 0.0
        return common + others * below

    def with_any(self, mask: int) -> float:
        """Return the share of rows whose value has one of these bits."""
        return sum(share for value, share in self.shares.items() if int(value) & mask)


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How many EVSEs there are, and what share of them is whose, has which connectors, gives how much power, is where.

    `operators`: by party id; none of the others has more than `other_operator`. `seen`: by everybody.
    """

    rows: float
    operators: Mapping[str, float]
    other_operator: float
    seen: float
    masks: Column
    powers: Column
    location_types: Mapping[str, float]

    def of_operators(self, party_ids: Sequence[str]) -> float:
        return sum(self.operators.get(party_id, self.other_operator) for party_id in party_ids)


#: The share of rows that a filter keeps, by the filter's name. A provider's operators are known to the database only.
SHARES: Mapping[str, Callable[[Frequencies, Any], float]] = {
    "operator_ids": Frequencies.of_operators,
    "connectors": lambda known, mask: known.masks.with_any(mask),
    "min_power_kw": lambda known, least: known.powers.at_least(least),
    "max_power_kw": lambda known, most: known.powers.at_most(most),
    "location_types": lambda known, types: sum(known.location_types.get(each, 0.0) for each in types),
    "provider_id": lambda known, _: 1 / 100,
}
#: A filter that keeps less is rare. Operators keep to their regions, so even big ones may have nothing for miles.
RARE: Mapping[str, float] = {
    **dict.fromkeys(("provider_id", SEEN), 1 / 4),
    **dict.fromkeys(("connectors", "min_power_kw", "max_power_kw", "location_types"), 1 / 20),
    "operator_ids": 1,
}

_known: WeakKeyDictionary[Database, tuple[float, Frequencies | None]] = WeakKeyDictionary()


async def prepare_nearest(database: Database, request: Request, caller_kind: CallerKind) -> Request:
    """Return the search for the nearest rows with its rarest filter named, if one is rare."""
    search = request.search
    if not isinstance(search, AreaSearch) or search.area is not AreaKind.NEAR or search.rare is None:
        return request
    known = await _frequencies(database)
    if known is None or known.rows < WORTH_CHOOSING:
        return request
    return choose(known, search, request, caller_kind)


def choose(known: Frequencies, search: AreaSearch, request: Request, caller_kind: CallerKind) -> Request:
    """Choose the filter that leaves the fewest rows, and walk about as many neighbours before they are looked for."""
    shares = {name: share(known, request.arguments[name]) for name, share in SHARES.items() if name in search.filters}
    if shares.get("operator_ids", 1) * known.rows <= NAMED_FEW:
        return request
    if caller_kind is not CallerKind.ADMINISTRATOR:
        shares[SEEN] = known.seen
    rare = {name: share for name, share in shares.items() if share < RARE[name]}
    if not rare:
        return request
    rarest = min(rare, key=lambda name: rare[name])
    to_find = rare[rarest] * known.rows
    arguments = {
        **request.arguments,
        "walk_most": max(WALK_LEAST, int(to_find * FIND_TO_WALK)),
        "standards": standards_of(request.arguments.get("connectors", 0)),
    }
    return replace(request, search=replace(search, rarest=rarest, many=to_find > MANY), arguments=arguments)


async def _frequencies(database: Database) -> Frequencies | None:
    until, known = _known.get(database, (0.0, None))
    if time.monotonic() >= until:
        # Other requests continue with the old figures meanwhile.
        _known[database] = (time.monotonic() + KEPT_S, known)
        try:
            known = await read_frequencies(database)
        except BaseException:
            del _known[database]  # failed, or cancelled with the request: the next one reads them
            raise
        _known[database] = (time.monotonic() + KEPT_S, known)
    return known


async def read_frequencies(database: Database) -> Frequencies | None:
    """Return what the planner knows; None while it knows nothing."""
    columns = {row["attname"]: row for row in await database.fetch(COLUMNS)}
    if len(columns) < 4:
        return None
    operators = _column(columns["operator_no"])
    types = columns["location_type"]
    rows = await database.fetch(OPERATORS, [int(number) for number in operators.shares])
    party_ids = {row["party_id"]: operators.shares[row["no"]] for row in rows if row["no"] is not None}
    seen = sum(operators.shares[row["no"]] for row in rows if row["no"] is not None and row["seen"])
    others_seen = any(row["no"] is None and row["seen"] for row in rows)
    others = max(0.0, 1 - sum(operators.shares.values()))
    return Frequencies(
        columns["operator_no"]["rows"],
        party_ids,
        min(others, min(operators.shares.values(), default=1.0)),
        seen + (others if others_seen else 0),
        _column(columns["connector_mask"]),
        _column(columns["maximum_power_kw"]),
        dict(zip(types["values"] or (), types["shares"] or (), strict=True)),
    )


def _column(row: Any) -> Column:
    values = [float(value) for value in row["values"] or ()]
    bounds = [float(bound) for bound in row["bounds"] or ()]
    return Column(row["null_frac"], dict(zip(values, row["shares"] or (), strict=True)), bounds)
