"""Synthetic tokens, single requests and sessions of the demo's mobility provider, by the ways that real ones take.

Every request has an id and every instant is counted from one day: the same again adds nothing.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha1
from itertools import cycle
from typing import Any, Final
from uuid import UUID

from app.auth import Caller
from app.db.engine import Database
from app.demo_status import TRUST
from app.exchange.actor import read_as
from app.exchange.authorisation.lists import set_authorisations
from app.exchange.authorisation.requests import request_authorisation, start_session
from app.exchange.authorisation.updates import read_authorisations
from app.exchange.sessions.commands import Known, end_session, expire_sessions, update_session
from app.ingest.status.updates import update_status
from app.records.status import EvseStatus
from app.records.token import Token
from app.uploads.items import Owner
from app.vocabulary import MajorStatus, MinorStatus, Role, SessionEnd, TokenRepresentation, TokenType

TOKENS: Final = 200
#: The token that has expired.
EXPIRED: Final = 1
EXPIRE_AFTER: Final = timedelta(hours=48)

#: An authorisation as `AuthorisationInput` takes it.
Input = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """A session of an earlier day, that its operator authorised by its copy of the list.

    `begun_h`: hours before the day; `hours`: how long energy flowed; `end` None: it was not ended.
    """

    name: str
    begun_h: int
    hours: int
    kwh: str
    end: SessionEnd | None


#: "unlisted" has a token that the list does not have.
UNLISTED: Final = "unlisted"
PAST: Final = (
    Past("stopped", 14, 2, "18.250", SessionEnd.AUTHORISED_STOP),
    Past("forced", 9, 1, "8.4", SessionEnd.FORCED_DISCONNECT),
    Past(UNLISTED, 6, 1, "10.75", SessionEnd.AUTHORISED_STOP),
    Past("never ended", 80, 3, "22", None),
)


async def charge(
    database: Database, provider: Owner, operators: Sequence[Caller], day: datetime, now: datetime
) -> None:
    """Publish a provider's tokens, ask about some, and report sessions in every state by operators with a contract.

    `day`: the one from which instants are counted. The EVSEs used are the first ones of the operators' stations.
    """
    read = await read_authorisations(list(authorisations(provider.party_id, day)), provider)
    report = await set_authorisations(database, read, provider, None, True, now)
    if report.refused:
        raise AssertionError(f"the demo's own tokens were refused: {report.refused[0]}")
    for number, (past, operator) in enumerate(zip(PAST, cycle(operators), strict=False), 1):
        await _report(database, operator, provider, number, past, day, now)
    await expire_sessions(database, now, EXPIRE_AFTER)
    first, *_, last = operators
    await _charge_now(database, first, now)
    await _contradict(database, last, now)
    await request_authorisation(database, first, _unknown(), evse_of(first, 1), "demo unknown", now)
    await request_authorisation(database, first, card(EXPIRED), evse_of(first, 1), "demo expired", now)


def authorisations(party_id: str, day: datetime) -> Iterator[Input]:
    """Make a provider's list: cards, some by their hash, and contracts that vehicles know."""
    for number in range(TOKENS):
        expires_at = day + timedelta(days=-1 if number == EXPIRED else 365)
        yield {
            "token": _sent(party_id, number),
            "contractId": contract_of(party_id, number),
            "printedNumber": f"DEMO {number:04}",
            "expiresAt": expires_at.isoformat(),
        }


def contract_of(party_id: str, number: int) -> str:
    return f"{party_id}C{number:08}"


def card(number: int) -> Token:
    """Return the card of a customer; its seven bytes are invented."""
    return Token(instance=f"04{random.Random(f'card {number}').randbytes(6).hex().upper()}", type=TokenType.RFID)


def evse_of(operator: Caller, station: int) -> str:
    return f"{operator.party_id}E{station:05}*1"


def _sent(party_id: str, number: int) -> Input:
    instance = card(number).instance
    if number % 10 == 9:
        return {"instance": contract_of(party_id, number), "type": TokenType.ISO_15118.value}
    if number % 10 == 8:
        # OCHP's sha-160 names a card, it protects nothing.
        hashed = sha1(instance.encode(), usedforsecurity=False).hexdigest()
        representation = TokenRepresentation.SHA_160.value
        return {"instance": hashed, "type": TokenType.RFID.value, "representation": representation}
    return {"instance": instance, "type": TokenType.RFID.value, "subType": "MIFARE_DES"}


def _unknown() -> Token:
    return card(TOKENS)


# ---------------------------------------------------------------- sessions


async def _report(
    database: Database, operator: Caller, provider: Owner, number: int, past: Past, day: datetime, now: datetime
) -> None:
    at = day - timedelta(hours=past.begun_h)
    begun, ended = at + timedelta(minutes=2), at + timedelta(hours=past.hours)
    token = _unknown() if past.name == UNLISTED else card(number + EXPIRED)
    contract_id = contract_of(provider.party_id, number + EXPIRED)
    arguments = (token, contract_id, evse_of(operator, number), at, f"demo {past.name}")
    session_id = await _session_of(database, operator, await start_session(database, operator, *arguments, now))
    known = Known(at - timedelta(minutes=1), begun, ended, energy_kwh=Decimal(past.kwh))
    await update_session(database, operator, session_id, known, now)
    if past.end is not None:
        await end_session(database, operator, session_id, past.end, ended, now)


async def _charge_now(database: Database, operator: Caller, now: datetime) -> None:
    """Begin a session, of a car that charges now."""
    evse_id, minute = evse_of(operator, len(PAST) + 1), timedelta(minutes=1)
    await _push(database, operator, evse_id, MajorStatus.NOT_AVAILABLE, MinorStatus.CHARGING, now)
    answer_id = await request_authorisation(database, operator, card(0), evse_id, "demo running", now)
    known = Known(connected_at=now - minute, energy_started_at=now, energy_kwh=Decimal("0.1"))
    await update_session(database, operator, await _session_of(database, operator, answer_id), known, now)


async def _contradict(database: Database, operator: Caller, now: datetime) -> None:
    """Begin a session on an EVSE that the operator publishes as available."""
    evse_id = evse_of(operator, len(PAST) + 2)
    await _push(database, operator, evse_id, MajorStatus.AVAILABLE, None, now)
    await request_authorisation(database, operator, card(TOKENS // 2), evse_id, "demo contradiction", now)


async def _session_of(database: Database, operator: Caller, answer_id: UUID) -> UUID:
    [row] = await read_as(database, operator, "select session_id from authorisation_answer where id = $1", answer_id)
    return row["session_id"]


async def _push(
    database: Database,
    operator: Caller,
    evse_id: str,
    major: MajorStatus,
    minor: MinorStatus | None,
    now: datetime,
) -> None:
    assert operator.party_id is not None, "operators have a party id"
    owner = Owner(operator.partner_id, operator.role_id, operator.party_id)
    status = EvseStatus(evse_id=evse_id, major=major, minor=minor, ttl=None, at=now)
    await update_status(database, [status], [], owner, Role.EVSE_OPERATOR, now, TRUST)
