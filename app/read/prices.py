"""What a session costs at the places of a list.

Each individual tariff is compiled once per content, and priced once per request and time zone: neighbours mostly share
their tariffs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cachetools import LRUCache

from app.prices.price import ChargingSession, CompiledTariff, Estimate, Unknown
from app.prices.words import describe
from app.read.plan import Arguments, Computed
from app.records.tariff import IndividualTariff, from_columns

#: Individual tariffs that stay compiled.
COMPILED: Final = 10_000
#: Columns of an offered tariff, in the order in which `Pricing` takes them.
OFFER: Final = ("tariff_id", "content_hash", "currency", "elements")
#: As PostgreSQL gives it, within JSON as text.
Hash = bytes | str
#: Behind all prices.
NOT_KNOWN: Final = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Content:
    """An individual tariff, compiled, with its words by language."""

    tariff: IndividualTariff
    compiled: CompiledTariff
    words: dict[str, str] = field(default_factory=dict[str, str])

    def describe(self, language: str) -> str:
        if language not in self.words:
            self.words[language] = describe(self.tariff, language)
        return self.words[language]


class Offer(NamedTuple):
    """A price under a tariff; without `tariff_id` and `content` there is no tariff."""

    tariff_id: str | None
    content: Content | None
    estimate: Estimate


NO_OFFER: Final = Offer(None, None, Estimate(None, None, reason=Unknown.NO_TARIFF))


@dataclass(slots=True)
class Pricing:
    """A session to be priced at many places, in one request. `currency`: prices in others are not known; None: any."""

    session: ChargingSession
    currency: str | None = None
    _in_zones: dict[str | None, ChargingSession] = field(default_factory=dict[str | None, ChargingSession])
    _known: dict[tuple[Hash, str | None], Estimate] = field(default_factory=dict[tuple[Hash, str | None], Estimate])

    def lowest(self, time_zone: str | None, offers: Sequence[Sequence[Any]]) -> Offer:
        """Return the lowest price, in the currency of the first known one; where none is known, the first offer."""
        found = [self._offer(time_zone, *offer) for offer in offers]
        known = [each for each in found if each.estimate.total is not None]
        alike = [each for each in known if each.estimate.currency == known[0].estimate.currency]
        return min(alike, key=_total, default=found[0] if found else NO_OFFER)

    def _offer(
        self, time_zone: str | None, tariff_id: str, content_hash: Hash, currency: str, elements: Sequence[Any]
    ) -> Offer:
        content = _content(content_hash, currency, elements)
        if self.currency not in (None, currency):
            return Offer(tariff_id, content, Estimate(None, currency, reason=Unknown.CURRENCY))
        key = content_hash, time_zone
        if key not in self._known:
            self._known[key] = content.compiled.price(self._in_zone(time_zone))
        return Offer(tariff_id, content, self._known[key])

    def _in_zone(self, time_zone: str | None) -> ChargingSession:
        if time_zone not in self._in_zones:
            self._in_zones[time_zone] = replace(self.session, time_zone=_zone(time_zone))
        return self._in_zones[time_zone]


def shown_price(offer: Offer, language: str) -> dict[str, Any]:
    """Return a price as the API shows it, by the keys that its fields name."""
    tariff_id, content, estimate = offer
    return {
        "total": estimate.total,
        "currency": estimate.currency,
        "tariffId": tariff_id,
        "reason": estimate.reason,
        "description": None if content is None else content.describe(language),
        "parts": [
            {
                "billingItem": part.billing_item,
                "billingValue": part.billing_value,
                "itemPrice": part.item_price,
                "cost": part.cost,
            }
            for part in estimate.parts
        ],
    }


def _total(offer: Offer) -> Decimal:
    assert offer.estimate.total is not None
    return offer.estimate.total


#: By content hash.
_CONTENTS: LRUCache[Hash, Content] = LRUCache(COMPILED)


def _content(content_hash: Hash, currency: str, elements: Sequence[Any]) -> Content:
    content = _CONTENTS.get(content_hash)
    if content is None:
        tariff = from_columns(currency, elements)
        content = _CONTENTS[content_hash] = Content(tariff, CompiledTariff(tariff))
    return content


def describe_content(language: str, currency: str, elements: Sequence[Any]) -> str:
    """Return an individual tariff in words, from its columns."""
    return describe(from_columns(currency, elements), language)


@cache
def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return None


# ---------------------------------------------------------------- lists


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """How a list uses prices.

    `tariff_ids`: of a row. `arguments`: those that select tariffs. `pricing`: by the instant of the request. `most`:
    the highest price that is shown; None: any, known or not. `by_price`: the lowest first, those that are not known
    last; else the order of the list without prices.
    """

    tariff_ids: Computed
    arguments: Arguments
    pricing: Callable[[datetime], Pricing]
    most: Decimal | None = None
    by_price: bool = True

    def rank(self, offer: Offer) -> Decimal | None:
        """Return where a row stands by its price; None: it is left out."""
        total = offer.estimate.total
        if self.most is not None and (total is None or total > self.most):
            return None
        if not self.by_price:
            return Decimal(0)
        return NOT_KNOWN if total is None else total
