"""What the log says of a changed tariff: every provider is named by what it is shown itself, and by nothing else."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.exchange.tariffs.rows import IndividualRow, Shown, TariffRow, moved, row_of
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.visibility.tariff_audience import is_concerned
from tests.exchange.tariffs.world import element, individual, item

NOW = datetime(2026, 5, 1, tzinfo=UTC)
BEFORE = NOW - timedelta(days=1)
PROVIDERS = ("DE8AA", "FRA1B", "NLTNM", "ATXYZ")

#: What each provider is shown; the first is the default.
contents = st.tuples(
    st.sampled_from((b"a", b"b", b"c")),
    st.dictionaries(st.sampled_from(PROVIDERS), st.sampled_from((b"a", b"b", b"c"))),
)


def tariff(default: bytes, named: dict[str, bytes]) -> TariffRow:
    hashes = [(default, ()), *((each, (party_id,)) for party_id, each in named.items())]
    return TariffRow("DE8ACT1", tuple(IndividualRow(to, "EUR", "[]", each) for each, to in hashes), b"")


@given(contents, contents)
def test_names_the_callers_that_are_shown_something_else(before, after):
    (default, named), (new_default, new_named) = before, after
    shown = Shown(default, BEFORE, {party_id: (each, BEFORE) for party_id, each in named.items()})
    written = moved(tariff(new_default, new_named), shown, NOW)
    for party_id in (*PROVIDERS, None):
        was, now = named.get(party_id, default), new_named.get(party_id, new_default)
        assert is_concerned(written.recipients, party_id) is (was != now), party_id
        since = written.default_since if party_id is None else written.since.get(party_id, written.default_since)
        assert since == (NOW if was != now else BEFORE), party_id


@given(contents)
def test_concerns_all_callers_when_it_is_new(after):
    written = moved(tariff(*after), None, NOW)
    assert all(is_concerned(written.recipients, party_id) for party_id in (*PROVIDERS, None))


def checked(raw: object) -> TariffRow:
    read = read_tariff(raw, 0)
    assert isinstance(read, Tariff), read
    return row_of(read)


def test_hashes_the_same_content_alike_however_it_is_sent():
    sent = item(individual("0.35", "FRA1B", "DE8AA"), individual("0.40"), individual("0.30", "NLTNM"))
    again = {
        "tariffId": "de*8ac*t1",
        "individualTariffs": [
            {**individual("0.40"), "recipients": None},
            individual("0.30", "nl-tnm"),
            individual("0.35", "DE*8AA", "FRA1B", elements=[element("0.35", restriction=None)]),
        ],
    }
    assert checked(sent) == checked(again)
    assert checked(sent).numbers == {"DE8AA": 1, "FRA1B": 1, "NLTNM": 2}


def test_hashes_other_digits_and_another_order_of_elements_differently():
    rows = [
        checked(item(individual(price, elements=[element(price), element(other)])))
        for price, other in (("0.35", "0.4"), ("0.350", "0.4"), ("0.4", "0.35"))
    ]
    assert len({each.content_hash for each in rows}) == 3
