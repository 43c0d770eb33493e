"""What the hub knows about the CDRs of an upload, read as sets: one statement per kind, however many CDRs there are."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from app.auth import Caller
from app.db.engine import Connection
from app.exchange.cdrs.plausibility import Claim, KnownSession
from app.records.cdr import Cdr
from app.records.token import keys_of
from app.uploads.yielding import yielding
from app.vocabulary import SessionEnd, TokenType

_EVSES: Final = """
select evse_id, maximum_power_kw::numeric as power_kw, evse.time_zone, connector_standards, connector_formats,
    connector_tariff_ids
from evse join operator on operator.no = operator_no where operator.role_id = $1 and evse_id = any($2)
"""

#: Contracts that were accepted at some time, with all roles that had the party ids.
_CONTRACTS: Final = """
select provider.party_id, provider.id as provider_role_id, valid_from, valid_until, status, contract.updated_at
from partner_role as provider
join contract on (first_role_id, second_role_id) in ((provider.id, $1), ($1, provider.id))
where provider.role = 'EVSP' and provider.party_id = any($2) and valid_from is not null
"""

_SESSIONS: Final = """
select id, provider_id, provider_role_id, evse_id, contract_id, token_key, token_key_160, authorised_at, ended_at,
    ended_by, energy_kwh
from session where operator_role_id = $1 and id = any($2)
"""

_KNOWN_TOKENS: Final = "select known_tokens($1, $2, $3)"
_OCCUPIED: Final = "select occupied_times($1, $2, $3, $4, $5)"


@dataclass(frozen=True, slots=True)
class Known:
    """`evses`: the sender's, by id. `providers`, `occupied`, `tokens`: of CDRs, by their index in the upload."""

    evses: Mapping[str, asyncpg.Record]
    providers: Mapping[int, int]
    tokens: Collection[int]
    sessions: Mapping[UUID, asyncpg.Record]
    occupied: Collection[int]

    def claim(self, cdr: Cdr, now: datetime, is_occupied: bool) -> Claim:
        """Return a CDR beside what is known. `is_occupied`: by another one of the same upload."""
        evse = self.evses.get(cdr.evse_id)
        return Claim(
            cdr=cdr,
            now=now,
            is_own_evse=evse is not None,
            power_kw=None if evse is None else evse["power_kw"],
            provider_role_id=self.providers.get(cdr.index),
            is_token_known=cdr.index in self.tokens,
            session=self._session(cdr),
            is_occupied=is_occupied or cdr.index in self.occupied,
        )

    def _session(self, cdr: Cdr) -> KnownSession | None:
        row = None if cdr.session_id is None else self.sessions.get(cdr.session_id)
        if row is None or row["provider_id"] != cdr.provider_id:
            return None
        is_end_reported = row["ended_by"] not in (None, SessionEnd.EXPIRED)
        return KnownSession(
            evse_id=row["evse_id"],
            contract_id=row["contract_id"],
            token_keys=frozenset({row["token_key"], row["token_key_160"]} - {None}),
            authorised_at=row["authorised_at"],
            ended_at=row["ended_at"] if is_end_reported else None,
            energy_kwh=row["energy_kwh"],
        )


async def look_up(
    connection: Connection, caller: Caller, cdrs: Sequence[Cdr], keys: Mapping[int, UUID], freed: Collection[UUID]
) -> Known:
    """Read what is known about some CDRs of an operator.

    `keys`: of those that stand already, by index; they do not occupy their own time. `freed`: of those that are waived.
    """
    role_id = caller.role_id
    evses = await connection.fetch(_EVSES, role_id, list({each.evse_id for each in cdrs}))
    contracts = await connection.fetch(_CONTRACTS, role_id, list({each.provider_id for each in cdrs}))
    providers = await _providers(contracts, cdrs)
    session_ids = list({each.session_id for each in cdrs if each.session_id is not None})
    sessions = await connection.fetch(_SESSIONS, role_id, session_ids) if session_ids else []
    return Known(
        evses={row["evse_id"]: row for row in evses},
        providers=providers,
        tokens=await _known_tokens(connection, [each for each in cdrs if each.index in providers], providers),
        sessions={row["id"]: row for row in sessions},
        occupied=await _occupied(connection, cdrs, keys, freed),
    )


async def _providers(contracts: Sequence[asyncpg.Record], cdrs: Sequence[Cdr]) -> dict[int, int]:
    """Return the roles of the providers whose contract was in force when the sessions began, by index."""
    by_party: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in contracts:
        by_party[row["party_id"]].append(row)
    found: dict[int, int] = {}
    async for cdr in yielding(cdrs):
        for row in by_party[cdr.provider_id]:
            if _was_in_force(row, cdr.started_at):
                found[cdr.index] = row["provider_role_id"]
    return found


def _was_in_force(row: asyncpg.Record, at: datetime) -> bool:
    within = row["valid_from"] <= at and (row["valid_until"] is None or at < row["valid_until"])
    return within and (row["status"] in ("ACTIVE", "ENDED") or at < row["updated_at"])


async def _known_tokens(connection: Connection, cdrs: Sequence[Cdr], providers: Mapping[int, int]) -> set[int]:
    listed = [each for each in cdrs if each.sent.token.type is not TokenType.REMOTE]
    tokens = [keys_of(each.sent.token) async for each in yielding(listed)]
    rows = await connection.fetch(
        _KNOWN_TOKENS,
        [providers[each.index] for each in listed],
        [token.key for token in tokens],
        [token.key_160 for token in tokens],
    )
    places: list[int] = [row[0] for row in rows]
    return {listed[place - 1].index for place in places}


async def _occupied(
    connection: Connection, cdrs: Sequence[Cdr], keys: Mapping[int, UUID], freed: Collection[UUID]
) -> set[int]:
    timed = [each for each in cdrs if each.started_at < each.ended_at]
    rows = await connection.fetch(
        _OCCUPIED,
        [each.evse_id for each in timed],
        [each.started_at for each in timed],
        [each.ended_at for each in timed],
        [keys.get(each.index) for each in timed],
        list(freed),
    )
    places: list[int] = [row[0] for row in rows]
    return {timed[place - 1].index for place in places}
