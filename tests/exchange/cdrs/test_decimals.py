"""Money keeps its digits from the wire to the table and back; no float comes near it."""

import ast
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Double, Float, Numeric

from app.db.tables import cdr, cdr_content
from app.exchange.cdrs.plausibility import half_a_minor_unit
from app.records.cdr import EXACT, Cdr, CdrInput, CdrPeriodInput, read_cdr
from tests.exchange.cdrs.world import NOON, World, costing
from tests.exchange.world import look

ROOT = Path(__file__).parents[3]
AMOUNTS = ["0.0001", "0.01", "1.10", "-1.10", "0.00", "12.500000", "0.1", "99999999999999.9999", "-99999999999999.9999"]


async def test_keeps_every_digit(world: World):
    items = [{**at(hour, amount), "totalCost": None} for hour, amount in enumerate(AMOUNTS)]
    assert (await world.add(*items)).accepted == len(AMOUNTS)
    sql = "select periods, total from cdr join cdr_content on cdr_key = cdr.id order by started_at"
    for row, amount in zip(await look(world.database, sql), AMOUNTS, strict=True):
        [stored] = row["periods"]
        assert (stored["itemPrice"], stored["periodCost"], stored["billingValue"]) == (amount, amount, "1")
        assert row["total"] == Decimal(amount)


async def test_holds_totals_to_the_decimals_of_the_currency(world: World):
    for hour, (currency, amount, is_possible) in enumerate(
        (
            *(("JPY", "390", True), ("JPY", "390.00", True), ("JPY", "390.5", False)),
            *(("EUR", "3.90", True), ("EUR", "3.905", False), ("EUR", "99999999999999.99", True)),
            *(("KWD", "3.901", True), ("KWD", "3.9001", False)),
        )
    ):
        report = await world.add({**at(hour, amount), "currency": currency})
        assert [each.code for each in report.refused] == ([] if is_possible else ["TOO_MANY_DECIMALS"])
        if is_possible:
            rows = await look(world.database, "select total_cost from cdr_content order by at desc limit 1")
            assert format(rows[0]["total_cost"], "f") == amount


async def test_adds_up_exactly(world: World):
    amounts = [amount for amount in AMOUNTS for _ in range(3)]
    items = [{**at(place, amount), "totalCost": None} for place, amount in enumerate(amounts)]
    assert (await world.add(*items)).accepted == len(items)
    [row] = await world.reconcile(world.operator.caller)
    assert row.total == sum(map(Decimal, amounts))


def at(hour: int, amount: str) -> dict[str, Any]:
    return costing(amount, cdr_id=f"DE8AC{hour}", start=NOON + timedelta(hours=hour))


@pytest.mark.parametrize(("currency", "half"), [("JPY", "0.5"), ("EUR", "0.005"), ("KWD", "0.0005"), ("XXX", None)])
def test_knows_half_a_minor_unit(currency: str, half: str | None):
    assert half_a_minor_unit(currency) == (None if half is None else Decimal(half))


decimals = st.decimals(
    min_value=Decimal("-99999999999999"), max_value=Decimal("99999999999999"), places=8, allow_nan=False
).map(lambda value: format(value, "f"))


@given(values=st.lists(st.tuples(decimals.map(lambda text: text.lstrip("-")), decimals), min_size=1, max_size=5))
def test_multiplies_and_adds_without_rounding(values: list[tuple[str, str]]):
    [template] = costing("1.00")["periods"]
    periods = [{**template, "billingValue": value, "itemPrice": price, "periodCost": None} for value, price in values]
    read = read_cdr({**costing("1.00"), "periods": periods, "totalCost": None}, 0)
    assert isinstance(read, Cdr)
    units = sum(int(value.replace(".", "")) * int(price.replace(".", "")) for value, price in values)
    assert read.total == EXACT.scaleb(Decimal(units), -16)


# ---------------------------------------------------------------- no float


@pytest.mark.parametrize("name", ["billingValue", "itemPrice", "periodCost", "taxRate"])
@pytest.mark.parametrize("number", [1, 1.5])
def test_refuses_numbers_for_decimals(name: str, number: float):
    [template] = costing("1.00")["periods"]
    found = read_cdr({**costing("1.00"), "periods": [{**template, name: number}]}, 0)
    assert isinstance(found, list)
    assert [(each.path, each.code) for each in found] == [(f"cdrs[0].periods[0].{name}", "WRONG_TYPE")]


def test_has_no_float_between_wire_and_table():
    """But for the power that an EVSE is rated for, which is no money."""
    for struct in (CdrInput, CdrPeriodInput):
        for field in msgspec.structs.fields(struct):
            types = {getattr(each, "__origin__", each) for each in get_args(field.type) or (field.type,)} - {NoneType}
            assert float not in types, (struct, field.name)
    for table in (cdr, cdr_content):
        assert [c.name for c in table.columns if isinstance(c.type, Float | Double)] == []
    assert isinstance(cdr.c.total.type, Numeric)
    assert isinstance(cdr_content.c.total_cost.type, Numeric)


SOURCES = (
    *sorted((ROOT / "app/exchange/cdrs").glob("*.py")),
    *(ROOT / name for name in ("app/records/cdr.py", "app/read/cdrs.py", "schema/types/cdr.py", "schema/cdrs.py")),
)


def floats_in(source: str) -> list[str]:
    """Return what in a source is a float, or makes one."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Name) and node.id in ("float", "Float"))
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and "Decimal" not in ast.unparse(node))
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_writes_no_float(path: Path):
    assert floats_in(path.read_text(encoding="utf-8")) == []


def test_would_notice_a_float():
    assert len(floats_in("a = float(b); c = 1.5; d = e / f; g = Decimal(1) / h")) == 3
