"""Is it plausible what a CDR claims? All checks, as a table; every one that fails is reported.

Decisions (*hub*: the reference is silent)
- The contract must be in force when the session begins: that authorised it, also where the contract ended meanwhile.
- `duration` is the time from start to end; senders may round it to minutes.
- A period without a cost counts as value times price. With a price of 0 its cost is 0, to half a minor unit.
- Energy periods that overlap may name the same energy twice: the largest sum of periods that do not overlap counts.
- The EVSE's power is what the hub knows, else what the CDR says.
- A token that its provider has deleted since is known from the session that it began, where the CDR names that.
- A CDR's session is the one that it names. Times may be five minutes away from those of the session, energy 10 % above.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Final

from app.ids import separated_evse_id
from app.records.cdr import EXACT, Cdr, duration_of
from app.records.currency import DECIMALS
from app.records.token import keys_of
from app.uploads.checks import Flaw, RefusalCode
from app.vocabulary import BillingItem, TokenType

#: Clocks of senders may be off by so much.
CLOCKS: Final = timedelta(minutes=5)
ROUNDED: Final = timedelta(minutes=1)
MARGIN: Final = Decimal("1.10")
HOUR: Final = timedelta(hours=1)

Found = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class KnownSession:
    """What was reported of the session that a CDR names, with its provider.

    `evse_id`, `contract_id` None: not known, or erased. `ended_at` None: its end was not reported.
    """

    evse_id: str | None
    contract_id: str | None
    token_keys: frozenset[str]
    authorised_at: datetime
    ended_at: datetime | None
    energy_kwh: Decimal | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A CDR beside what the hub knows.

    `power_kw` None: unknown. `provider_role_id` None: no contract with the provider was in force. `is_token_known`: to
    that provider. `is_occupied`: another CDR claims the EVSE at the time.
    """

    cdr: Cdr
    now: datetime
    is_own_evse: bool
    power_kw: Decimal | None
    provider_role_id: int | None
    is_token_known: bool
    session: KnownSession | None
    is_occupied: bool


@dataclass(frozen=True, slots=True)
class Check:
    """`find` yields the path and the sentence of each thing that is wrong."""

    code: RefusalCode
    find: Callable[[Claim], Found]


def implausible(claim: Claim) -> list[Flaw]:
    """Return everything that is implausible, in the order of the table."""
    with localcontext(EXACT):
        return [Flaw(path, check.code, words) for check in CHECKS for path, words in check.find(claim)]


def _own_evse(claim: Claim) -> Found:
    if not claim.is_own_evse:
        yield ".evseId", f"{separated_evse_id(claim.cdr.evse_id)} is not an EVSE of yours"


def _contract(claim: Claim) -> Found:
    if claim.provider_role_id is None:
        yield ".contractId", "you had no contract in force with its EVSP when the session began"


def _token(claim: Claim) -> Found:
    """Find unknown tokens; without a contract none is judged, since callers must not probe whose tokens there are."""
    if claim.provider_role_id is None:
        return
    is_of_session = claim.session is not None and _has_token(claim.session, claim.cdr)
    if claim.cdr.sent.token.type is TokenType.REMOTE:
        if claim.session is None:
            yield ".token", "a remote token comes with the sessionId of the session that it began"
    elif not (claim.is_token_known or is_of_session):
        yield ".token", "the EVSP of the contract does not have this token"


def _has_token(session: KnownSession, cdr: Cdr) -> bool:
    return not session.token_keys.isdisjoint(keys_of(cdr.sent.token).all)


def _order(claim: Claim) -> Found:
    if claim.cdr.ended_at <= claim.cdr.started_at:
        yield ".end", f"{claim.cdr.sent.end} is not after {claim.cdr.sent.start}; expected a later end"


def _future(claim: Claim) -> Found:
    if claim.cdr.ended_at > claim.now + CLOCKS:
        yield ".end", f"{claim.cdr.sent.end} is more than five minutes ahead"


def _duration(claim: Claim) -> Found:
    sent, cdr = claim.cdr.sent, claim.cdr
    if sent.duration is None:
        return
    lasted = cdr.ended_at - cdr.started_at
    if abs(duration_of(sent.duration) - lasted) >= ROUNDED:
        yield ".duration", f"{sent.duration} is not the time from start to end, which is {lasted}"


def _periods(claim: Claim) -> Found:
    cdr = claim.cdr
    for place, (period, sent) in enumerate(zip(cdr.periods, cdr.sent.periods, strict=True)):
        if period.ended_at < period.started_at:
            yield f".periods[{place}].end", f"{sent.end} is before {sent.start}"
        elif period.started_at < cdr.started_at or period.ended_at > cdr.ended_at:
            yield f".periods[{place}]", f"{sent.start} to {sent.end} is not within {cdr.sent.start} to {cdr.sent.end}"


def _currency(claim: Claim) -> Found:
    currency = claim.cdr.sent.currency
    if currency not in DECIMALS:
        yield ".currency", f"{currency} is not a currency of ISO 4217; expected one like EUR"


def half_a_minor_unit(currency: str) -> Decimal | None:
    """Return half of what is the least amount of a currency; None for one that is none."""
    decimals = DECIMALS.get(currency)
    return None if decimals is None else Decimal(5).scaleb(-decimals - 1)


def _period_costs(claim: Claim) -> Found:
    half = half_a_minor_unit(claim.cdr.sent.currency)
    for place, period in enumerate(claim.cdr.periods):
        if half is not None and period.cost is not None and abs(period.cost - period.exact_cost) > half:
            words = f"{period.value:f} x {period.price:f} is {period.exact_cost:f}, not {period.cost:f}"
            yield f".periods[{place}].periodCost", f"{words}; at most {half:f} away is possible"


def _total_cost(claim: Claim) -> Found:
    half, total, found = half_a_minor_unit(claim.cdr.sent.currency), claim.cdr.total_cost, claim.cdr.sum_of_periods
    if half is None or total is None:
        return
    allowed = half * len(claim.cdr.periods)
    if abs(total - found) > allowed:
        yield ".totalCost", f"the periods cost {found:f}, not {total:f}; at most {allowed:f} away is possible"


def _decimals(claim: Claim) -> Found:
    total, decimals = claim.cdr.total_cost, DECIMALS.get(claim.cdr.sent.currency)
    if total is not None and decimals is not None and total != round(total, decimals):
        yield ".totalCost", f"{claim.cdr.sent.currency} has {decimals} decimals; {total:f} has more"


def _energy(claim: Claim) -> Found:
    power_kw = claim.power_kw
    if power_kw is None:
        ratings = claim.cdr.sent.ratings
        power_kw = None if ratings is None else Decimal(str(ratings.maximum_power_kw))
    lasted = claim.cdr.ended_at - claim.cdr.started_at
    if power_kw is None or lasted <= timedelta(0):
        return
    possible = power_kw * Decimal(lasted // timedelta(microseconds=1)) / Decimal(HOUR // timedelta(microseconds=1))
    energy = energy_of(claim.cdr)
    if energy > possible * MARGIN:
        yield ".periods", f"{energy:f} kWh in {lasted} is not possible with {power_kw:f} kW: at most {possible:.3f} kWh"


def energy_of(cdr: Cdr) -> Decimal:
    """Return the energy that a CDR claims, kWh: the largest sum of energy periods that do not overlap."""
    periods = sorted((each for each in cdr.periods if each.item is BillingItem.ENERGY), key=lambda each: each.ended_at)
    ends = [each.ended_at for each in periods]
    best = [Decimal(0)]
    for place, period in enumerate(periods):
        before = bisect_right(ends, period.started_at, hi=place)
        best.append(max(best[-1], best[before] + period.value))
    return best[-1]


def _occupied(claim: Claim) -> Found:
    if claim.is_occupied:
        yield ".start", f"another CDR claims {separated_evse_id(claim.cdr.evse_id)} for some of this time"


def _session(claim: Claim) -> Found:
    if claim.cdr.session_id is not None and claim.session is None:
        yield ".sessionId", "there is no such session of yours with this EVSP"


def _session_differs(claim: Claim) -> Found:
    cdr, session = claim.cdr, claim.session
    if session is None:
        return
    if session.evse_id not in (None, cdr.evse_id):
        yield ".evseId", "the session took place at another EVSE"
    if session.contract_id not in (None, cdr.contract_id):
        yield ".contractId", "the session has another contract"
    if not _has_token(session, cdr):
        yield ".token", "the session has another token"
    if abs(cdr.started_at - session.authorised_at) > CLOCKS:
        yield ".start", "the session was authorised more than five minutes away from it"
    if session.ended_at is not None and abs(cdr.ended_at - session.ended_at) > CLOCKS:
        yield ".end", "the session ended more than five minutes away from it"
    if session.energy_kwh is not None and session.ended_at is not None:
        energy = energy_of(cdr)
        if energy > session.energy_kwh * MARGIN:
            yield ".periods", f"{energy:f} kWh is more than the {session.energy_kwh:f} kWh of the session"


#: In the order in which they are reported.
CHECKS: Final = (
    Check(RefusalCode.EVSE_NOT_YOURS, _own_evse),
    Check(RefusalCode.NO_CONTRACT, _contract),
    Check(RefusalCode.TOKEN_UNKNOWN, _token),
    Check(RefusalCode.END_NOT_AFTER_START, _order),
    Check(RefusalCode.IN_FUTURE, _future),
    Check(RefusalCode.DURATION_DIFFERS, _duration),
    Check(RefusalCode.PERIOD_OUTSIDE, _periods),
    Check(RefusalCode.CURRENCY_UNKNOWN, _currency),
    Check(RefusalCode.PERIOD_COST_DIFFERS, _period_costs),
    Check(RefusalCode.TOTAL_COST_DIFFERS, _total_cost),
    Check(RefusalCode.TOO_MANY_DECIMALS, _decimals),
    Check(RefusalCode.TOO_MUCH_ENERGY, _energy),
    Check(RefusalCode.TIME_OCCUPIED, _occupied),
    Check(RefusalCode.SESSION_UNKNOWN, _session),
    Check(RefusalCode.SESSION_DIFFERS, _session_differs),
)
