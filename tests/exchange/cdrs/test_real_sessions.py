"""Real charging sessions as CDRs: every row is accounted for, and what makes no sense is refused for what is wrong.

Perth & Kinross Council, September 2018 to August 2019; contracts, tokens and the tariff are made for it.
"""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.cdrs.reconciliation import reconcile
from app.exchange.cdrs.uploads import add_cdrs, read_cdrs
from app.exchange.contracts import set_contract
from app.exchange.tariffs.updates import update_tariffs
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from tests.exchange.authorisation.world import owner_of
from tests.exchange.cdrs.world import ADDRESS, CONTRACTS, TOKENS, give_token, local
from tests.exchange.world import Member, add_evse, operator, owner, provider, utc_now
from tests.length import rounds, sampled

FILE: Final = "sessions/perth-kinross-2018-19.csv.gz"
SINCE: Final = datetime(2018, 1, 1, tzinfo=UTC)
LONDON: Final = ZoneInfo("Europe/London")
PENCE: Final = Decimal("0.01")
PRICE: Final = Decimal("0.15")
#: What the models of charge points can deliver, kW; of the others it is not known.
POWER_KW: Final = {"Triple Rapid": 50, "22kW": 22, "7 kW": 7, "7kW": 7}
AT_ONCE: Final = 5_000

Row = Mapping[str, str]


def read_rows(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def power_of(row: Row) -> int | None:
    return next((power for words, power in POWER_KW.items() if words in row["Model"]), None)


def instant(day: str, time: str) -> datetime | None:
    return datetime.fromisoformat(f"{day[:10]}T{time}:00").replace(tzinfo=LONDON) if day and time else None


def times(row: Row) -> tuple[datetime | None, datetime | None]:
    return instant(row["Start Date"], row["Start Time"]), instant(row["End Date"], row["End Time"])


def item_of(row: Row, evse_id: str) -> dict[str, Any]:
    """Return a session as its operator would bill it: by its energy, to the penny."""
    start, end = (None if each is None else local(each) for each in times(row))
    kwh = row["Total kWh"] or None
    cost = None if kwh is None else str((Decimal(kwh) * PRICE).quantize(PENCE, ROUND_HALF_UP))
    billed = {"billingItem": "ENERGY", "billingValue": kwh, "itemPrice": str(PRICE), "periodCost": cost}
    return {
        "cdrId": f"GBPKC{row['_id']}",
        "evseId": evse_id,
        "token": {"instance": TOKENS[0], "type": "RFID"},
        "contractId": CONTRACTS[0],
        "start": start,
        "end": end,
        "address": {**ADDRESS, "country": "GBR"},
        "chargePointType": "DC",
        "connector": {"standard": "CHADEMO", "format": "CABLE", "tariffId": "GBPKCT1"},
        "periods": [{"start": start, "end": end, **billed}],
        "totalCost": cost,
        "currency": "GBP",
    }


class Model:
    """What is wrong with a session, worked out with plain Python from the words of the rules."""

    def __init__(self) -> None:
        self.taken: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)

    def codes(self, row: Row, evse_id: str) -> set[str]:
        start, end = times(row)
        kwh = row["Total kWh"]
        if start is None or end is None or not kwh:
            return {"REQUIRED"}
        if kwh.startswith("-"):
            return {"PATTERN"}
        if min(start, end).year < 1990:
            return {"OUT_OF_RANGE"}
        begin, until = start.astimezone(UTC), end.astimezone(UTC)
        wrong: set[str] = set()
        if until <= begin:
            wrong.add("END_NOT_AFTER_START")
            if until < begin:
                wrong.add("PERIOD_OUTSIDE")
        power = power_of(row)
        hours = Decimal((until - begin) // timedelta(seconds=1)) / 3_600
        if until > begin and power is not None and Decimal(kwh) > power * hours * Decimal("1.1"):
            wrong.add("TOO_MUCH_ENERGY")
        if until > begin and any(begin < b and a < until for a, b in self.taken[evse_id]):
            wrong.add("TIME_OCCUPIED")
        if not wrong:
            self.taken[evse_id].append((begin, until))
        return wrong


async def prepare(
    database: Database, database_url: str, rows: Sequence[Row]
) -> tuple[Member, dict[tuple[str, str], str]]:
    """Return the operator, and its EVSEs by charge point and connector."""
    council, mobility = await operator(database, "GBPKC", "Council"), await provider(database)
    await set_contract(database, CONSOLE, council.party, mobility.party, utc_now(), SINCE)
    await give_token(database, mobility, TOKENS[0], CONTRACTS[0])
    raw = {"billingItem": "ENERGY", "itemPrice": str(PRICE), "stepSize": "0"}
    tariff = read_tariff({"tariffId": "GBPKCT1", "individualTariffs": [{"currency": "GBP", "elements": [raw]}]}, 0)
    assert isinstance(tariff, Tariff)
    await update_tariffs(database, [tariff], owner_of(council), SINCE)
    models = {(row["CP ID"], row["Connector"]): power_of(row) for row in rows}
    evses: dict[tuple[str, str], str] = {}
    async with owner(database_url) as connection:
        for number, (place, power) in enumerate(models.items()):
            await add_evse(database, "GBPKC", number)
            evses[place] = f"GBPKCE{number}"
            await connection.execute("update evse set maximum_power_kw = $1 where evse_id = $2", power, evses[place])
    return council, evses


@pytest.mark.realdata
async def test_accounts_for_every_session(
    database: Database, database_url: str, real_data: Callable[[str], Path], tmp_path: Path
):
    rows = read_rows(sampled(real_data(FILE), tmp_path))
    assert len(rows) >= rounds(2_000, full=32_711)
    council, evses = await prepare(database, database_url, rows)
    places = [evses[row["CP ID"], row["Connector"]] for row in rows]
    model, found = Model(), Counter[str]()
    total = Decimal(0)
    for begin in range(0, len(rows), AT_ONCE):
        some, where = rows[begin : begin + AT_ONCE], places[begin : begin + AT_ONCE]
        items = [item_of(*each) for each in zip(some, where, strict=True)]
        report = await add_cdrs(database, await read_cdrs(items), council.caller, utc_now())
        refused: dict[int, set[str]] = defaultdict(set)
        for each in report.refused:
            refused[each.index].add(each.code)
        expected = {
            index: codes for index, each in enumerate(zip(some, where, strict=True)) if (codes := model.codes(*each))
        }
        assert refused == expected
        assert (report.accepted, report.unchanged, report.warnings) == (len(some) - len(expected), 0, ())
        total += sum(Decimal(each["totalCost"]) for index, each in enumerate(items) if index not in expected)
        found.update(code for codes in expected.values() for code in codes)
    assert {"REQUIRED", "TIME_OCCUPIED", "TOO_MUCH_ENERGY"} <= found.keys()
    [sums] = await reconcile(database, council.caller, None, None, None)
    assert (sums.count, sums.total) == (sum(map(len, model.taken.values())), total)
