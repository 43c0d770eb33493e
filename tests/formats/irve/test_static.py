"""The French register: every row becomes a charge point or a reason; the sample has the real file's kinds of damage."""

import csv
import gzip
import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats.csv_file import UnreadableFile
from app.formats.irve import row as irve_row
from app.formats.irve.row import COLUMNS, IrveWarning, RowRefused, Understood, understand
from app.formats.irve.static import ATTRIBUTION, LICENCE, SOURCE, IrveStatic, Survey
from app.formats.opening_hours_osm import NotUnderstood, read_opening_hours
from app.records.charge_point import Address, ChargePoint
from app.uploads.checks import Refusal, RefusalCode
from app.vocabulary import AuthMethod, GeneralLocationType, Restriction
from tests.length import rounds, sampled

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SAMPLE = Path(__file__).parent / "data" / "irve-static-sample.csv"
MAPPING = Path(irve_row.__file__).with_name("static.md")

GOOD: Mapping[str, str] = {
    "nom_operateur": "Bornes du Lac",
    "telephone_operateur": "tel:+33-1-02-03-04-05",
    "id_station_itinerance": "FRZZAP001",
    "nom_station": "Place du Marché",
    "implantation_station": "Voirie",
    "adresse_station": "1 Place du Marché 74000 ANNECY",
    "coordonneesXY": "[6.129384, 45.899247]",
    "id_pdc_itinerance": "FRZZAE0011",
    "puissance_nominale": "22.0",
    "prise_type_ef": "False",
    "prise_type_2": "True",
    "prise_type_combo_ccs": "False",
    "prise_type_chademo": "False",
    "prise_type_autre": "False",
    "paiement_cb": "True",
    "paiement_autre": "True",
    "horaires": "24/7",
    "accessibilite_pmr": "Accessibilité inconnue",
    "station_deux_roues": "False",
    "date_maj": "2024-07-15",
    "cable_t2_attache": "False",
}


def understood(**cells: str) -> Understood:
    return understand({**GOOD, **cells}, NOW)


def charge_point(**cells: str) -> ChargePoint:
    return understood(**cells).charge_point


def warnings(**cells: str) -> set[str]:
    return set(understood(**cells).warnings)


def refusal(**cells: str) -> tuple[str, str]:
    with pytest.raises(RowRefused) as refused:
        understood(**cells)
    return refused.value.column, refused.value.code


def written(path: Path, *rows: Mapping[str, str]) -> Path:
    """Write a register of these rows, each given by what it changes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines: csv.DictWriter[str] = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        lines.writerows({**GOOD, **row} for row in rows)
    return path


def answers(path: Path) -> list[ChargePoint | Refusal]:
    return list(IrveStatic(path, NOW).read())


def codes(path: Path) -> list[str | None]:
    """Return each row's refusal code; None: accepted."""
    return [answer.code if isinstance(answer, Refusal) else None for answer in answers(path)]


# ---------------------------------------------------------------- one row


def test_takes_a_good_row_without_warnings() -> None:
    read = understood()
    assert read.warnings == ()
    assert read.charge_point.evse_id == "FRZZAE0011"
    assert read.charge_point.location_id == "FRZZAP001"
    assert read.charge_point.timestamp == datetime(2024, 7, 15, tzinfo=UTC)
    assert read.charge_point.telephone_number == "+33-1-02-03-04-05"
    assert read.charge_point.address == Address(
        address="1 Place du Marché", city="ANNECY", zip_code="74000", country="FRA"
    )
    assert (read.charge_point.position.longitude, read.charge_point.position.latitude) == (6.129384, 45.899247)
    assert (read.charge_point.time_zone, read.charge_point.status) == (None, None)


def test_normalises_ids_and_keeps_what_was_sent() -> None:
    read = charge_point(id_pdc_itinerance=" fr*zza*e00*11 ", id_station_itinerance="fr*zza*p 1")
    assert (read.evse_id, read.evse_id_as_sent) == ("FRZZAE00*11", "fr*zza*e00*11")
    assert read.location_id == "FR*ZZA*P 1"


@pytest.mark.parametrize("sent", ["FRZZAP0011", "Non concerné", "", "FRZZA", "FRZZAE" + "1" * 32])
def test_refuses_a_row_without_evse_id(sent: str) -> None:
    assert refusal(id_pdc_itinerance=sent) == ("id_pdc_itinerance", RefusalCode.INVALID_ID)


def test_takes_location_ids_of_36_characters_and_refuses_longer_and_other_ones() -> None:
    assert charge_point(id_station_itinerance="A" * 36).location_id == "A" * 36
    for sent in ("A" * 37, "A/1", "Non concerné"):
        assert refusal(id_station_itinerance=sent) == ("id_station_itinerance", RefusalCode.PATTERN)


def test_refuses_a_row_without_name_or_address() -> None:
    assert refusal(nom_station=" \t") == ("nom_station", RefusalCode.EMPTY)
    assert refusal(nom_station="a" * 256) == ("nom_station", RefusalCode.TOO_LONG)
    assert refusal(adresse_station="") == ("adresse_station", RefusalCode.EMPTY)
    assert refusal(adresse_station="a" * 256) == ("adresse_station", RefusalCode.TOO_LONG)
    assert refusal(nom_station="a\x00b") == ("nom_station", RefusalCode.PATTERN)


@pytest.mark.parametrize(
    ("sent", "longitude", "latitude"),
    [
        ("[2.352222, 48.856613]", 2.352222, 48.856613),
        ("[2.352222,48.856613]", 2.352222, 48.856613),
        ("2.352222, 48.856613", 2.352222, 48.856613),
        ("[-1.877315866, 49.536241916]", -1.877316, 49.536242),
        ("[0.0000004, 48]", 0.0, 48.0),
        ("[55.4507, -20.8789]", 55.4507, -20.8789),
        ("[-61.589272, 16.252294]", -61.589272, 16.252294),
        ("[-52.31936, 4.903192]", -52.31936, 4.903192),
        ("[-149.568658, -17.539944]", -149.568658, -17.539944),
        ("[45.2278, -12.7806]", 45.2278, -12.7806),
        ("[166.4416, -22.2711]", 166.4416, -22.2711),
        ("[9.45, 42.70]", 9.45, 42.7),
    ],
)
def test_takes_positions_in_every_french_territory(sent: str, longitude: float, latitude: float) -> None:
    position = charge_point(coordonneesXY=sent).position
    assert (position.longitude, position.latitude) == (longitude, latitude)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("[48.856613, 2.352222]", RefusalCode.SWAPPED_COORDINATES),
        ("[-20.8789, 55.4507]", RefusalCode.SWAPPED_COORDINATES),
        ("[16.252294, -61.589272]", RefusalCode.SWAPPED_COORDINATES),
        ("[47.99147,47.99147]", RefusalCode.OUTSIDE_COVERAGE),
        ("[0, 0]", RefusalCode.OUTSIDE_COVERAGE),
        ("[4.5715998, 4.965408]", RefusalCode.OUTSIDE_COVERAGE),
        ("[13.405, 52.52]", RefusalCode.OUTSIDE_COVERAGE),
        ("", RefusalCode.PATTERN),
        ("[NaN, 48.8]", RefusalCode.PATTERN),
        ("[2.3 48.8]", RefusalCode.PATTERN),
        ("[2,3, 48,8]", RefusalCode.PATTERN),
        ("[2.3, 48.8, 0]", RefusalCode.PATTERN),
        ("[\u0662.3, 48.8]", RefusalCode.PATTERN),
    ],
)
def test_refuses_swapped_implausible_and_unreadable_positions(sent: str, code: str) -> None:
    assert refusal(coordonneesXY=sent) == ("coordonneesXY", code)


@given(st.sampled_from(irve_row.TERRITORIES), st.floats(0, 1), st.floats(0, 1))
def test_sees_a_swap_wherever_the_other_way_round_is_no_territory(
    territory: tuple[float, float, float, float], north: float, east: float
) -> None:
    least_latitude, greatest_latitude, least_longitude, greatest_longitude = territory
    latitude = least_latitude + north * (greatest_latitude - least_latitude)
    longitude = least_longitude + east * (greatest_longitude - least_longitude)
    charge_point(coordonneesXY=f"[{longitude:.6f}, {latitude:.6f}]")
    assert refusal(coordonneesXY=f"[{latitude:.6f}, {longitude:.6f}]")[1] == RefusalCode.SWAPPED_COORDINATES


@pytest.mark.parametrize(
    ("flags", "cable", "connectors", "kind"),
    [
        ("prise_type_2", "false", ["IEC_62196_T2 SOCKET"], "AC"),
        ("prise_type_2", "TRUE", ["IEC_62196_T2 CABLE"], "AC"),
        ("prise_type_ef prise_type_2", "False", ["DOMESTIC_E SOCKET", "IEC_62196_T2 SOCKET"], "AC"),
        ("prise_type_combo_ccs", "", ["IEC_62196_T2_COMBO CABLE"], "DC"),
        ("prise_type_chademo", "", ["CHADEMO CABLE"], "DC"),
        (
            "prise_type_2 prise_type_combo_ccs prise_type_chademo",
            "True",
            ["IEC_62196_T2 CABLE", "IEC_62196_T2_COMBO CABLE", "CHADEMO CABLE"],
            "DC",
        ),
    ],
)
def test_makes_one_connector_per_true_column(flags: str, cable: str, connectors: list[str], kind: str) -> None:
    columns = ("prise_type_ef", "prise_type_2", "prise_type_combo_ccs", "prise_type_chademo")
    cells = {column: str(column in flags.split()) for column in columns} | {"cable_t2_attache": cable}
    read = charge_point(**cells)
    assert [f"{each.standard} {each.format}" for each in read.connectors] == connectors
    assert read.charge_point_type == kind


def test_counts_an_unknown_cable_and_an_unnamed_connector() -> None:
    assert warnings(cable_t2_attache="") == {IrveWarning.CABLE_UNKNOWN}
    assert charge_point(cable_t2_attache="").connectors[0].format == "SOCKET"
    assert warnings(prise_type_autre="true") == {IrveWarning.CONNECTOR_DROPPED}


@pytest.mark.parametrize("other", ["False", "True"])
def test_refuses_a_row_without_a_connector_that_has_a_name(other: str) -> None:
    assert refusal(prise_type_2="False", prise_type_autre=other) == ("prise_type_2", RefusalCode.NO_CONNECTOR)


@pytest.mark.parametrize(
    ("sent", "power_kw"),
    [
        ("22", 22.0),
        ("22.0", 22.0),
        ("7.36", 7.36),
        ("187.5", 187.5),
        ("2.299999952316284", 2.3),
        ("7.400000095367432", 7.4),
        ("1.7000000000000002", 1.7),
        ("0.001", 0.001),
        ("1000", 1000.0),
    ],
)
def test_reads_power_to_the_watt(sent: str, power_kw: float) -> None:
    ratings = charge_point(puissance_nominale=sent).ratings
    assert ratings is not None
    assert ratings.maximum_power_kw == power_kw


@pytest.mark.parametrize("sent", ["", "0", "0.0004", "1000.01", "22000", "-22", "7,4", "nan", "inf", "22 kW", "1e3"])
def test_leaves_absurd_power_unknown(sent: str) -> None:
    assert charge_point(puissance_nominale=sent).ratings is None
    assert warnings(puissance_nominale=sent) == {IrveWarning.POWER_UNKNOWN}


@pytest.mark.parametrize(
    ("line", "street", "zip_code", "city"),
    [
        ("1 BLVD DE RECOUVRANCE 17100 SAINTES", "1 BLVD DE RECOUVRANCE", "17100", "SAINTES"),
        ("1  Rue du Lac, Strasbourg  67200  France", "1 Rue du Lac", "67200", "Strasbourg"),
        ("  Rue du Lac, Sarlat-la-Canéda  24200  France", "Rue du Lac", "24200", "Sarlat-la-Canéda"),
        ("52 Rue du Lac, 75018 Paris", "52 Rue du Lac", "75018", "Paris"),
        ("Quai Nord, 30 Rue du Lac, 06300 Nice, France", "Quai Nord, 30 Rue du Lac", "06300", "Nice"),
        ("Aire du Lac - A5 - 89190 VILLENEUVE-L'ARCHEVEQUE", "Aire du Lac - A5", "89190", "VILLENEUVE-L'ARCHEVEQUE"),
        ("Rue du Lac 63800 COURNON (63) Auvergne-Rhône-Alpes FRANCE", "Rue du Lac", "63800", "COURNON"),
        ("[Rue du Lac][73150][Val-d'Isère]", "Rue du Lac", "73150", "Val-d'Isère"),
        ("Rue de l&#039;Ouest, 59650 Villeneuve-d&#039;Ascq", "Rue de l'Ouest", "59650", "Villeneuve-d'Ascq"),
        ("Rue du Lac 59650 Villeneuve d\\'Ascq", "Rue du Lac", "59650", "Villeneuve d'Ascq"),
        ("1 Rue du Lac - BP 20212 95712 ROISSY-EN-FRANCE", "1 Rue du Lac - BP 20212", "95712", "ROISSY-EN-FRANCE"),
        ("Rue du Lac 59000 Lille.", "Rue du Lac", "59000", "Lille"),
        ("32 Rue du Lac, Rue 80120 France", "32 Rue du Lac", "80120", "Rue"),
    ],
)
def test_finds_zip_code_and_city_where_they_are_certain(line: str, street: str, zip_code: str, city: str) -> None:
    assert charge_point(adresse_station=line).address == Address(
        address=street, zip_code=zip_code, city=city, country="FRA"
    )
    assert warnings(adresse_station=line) == set()


@pytest.mark.parametrize(
    "line",
    [
        "Place de la Mairie",
        "Zc Est_Bp 58967",
        "24124 Chem. des Matelots",
        "54270 ESSEY",
        "Rue du Lac, 31450 A61 DEYME",
        "18 chemin du Lac 62118",
        "Rue du Lac, 521260 Noidant",
        "Rue du Lac 99000 Nulle-Part",
        "Mobalpa 85000 La Roche sur Yon 2",
        "Rue du Lac, Lambersart 59130",
    ],
)
def test_keeps_the_line_where_zip_code_and_city_are_not_certain(line: str) -> None:
    assert charge_point(adresse_station=line).address == Address(address=line, country="FRA")
    assert warnings(adresse_station=line) == {IrveWarning.CITY_UNKNOWN}


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ("Voirie", "ON_STREET"),
        ("Parking public", "PARKING_LOT"),
        ("Parking privé à usage public", "PARKING_LOT"),
        ("Parking privé réservé à la clientèle", "PRIVATE"),
        ("Station dédiée à la recharge rapide", "OTHER"),
        ("", "UNKNOWN"),
    ],
)
def test_knows_every_word_of_the_schema_for_places(sent: str, kind: str) -> None:
    assert charge_point(implantation_station=sent).location_type is GeneralLocationType[kind]
    assert warnings(implantation_station=sent) == set()


def test_leaves_words_that_the_schema_does_not_have_unknown() -> None:
    assert charge_point(implantation_station="Toit").location_type is GeneralLocationType.UNKNOWN
    assert warnings(implantation_station="Toit") == {IrveWarning.WORD_UNKNOWN}
    assert warnings(paiement_cb="peut-être") == {IrveWarning.WORD_UNKNOWN}


@pytest.mark.parametrize(
    ("card", "other", "methods"),
    [
        ("True", "False", (AuthMethod.DIRECT_CREDITCARD, AuthMethod.DIRECT_DEBITCARD)),
        ("false", "true", (AuthMethod.OPERATOR_AUTH,)),
        ("TRUE", "1", (AuthMethod.DIRECT_CREDITCARD, AuthMethod.DIRECT_DEBITCARD, AuthMethod.OPERATOR_AUTH)),
        ("", "", ()),
        ("False", "False", ()),
    ],
)
def test_takes_ways_to_pay_as_ways_to_start_and_invents_none(
    card: str, other: str, methods: tuple[AuthMethod, ...]
) -> None:
    assert charge_point(paiement_cb=card, paiement_autre=other).auth_methods == methods
    expected = set() if methods else {IrveWarning.AUTH_METHODS_UNKNOWN}
    assert warnings(paiement_cb=card, paiement_autre=other) == expected


@pytest.mark.parametrize(
    ("cells", "restrictions"),
    [
        ({"accessibilite_pmr": "Réservé PMR"}, (Restriction.DISABLED,)),
        ({"accessibilite_pmr": "Accessible mais non réservé PMR"}, ()),
        ({"accessibilite_pmr": "Non accessible"}, ()),
        ({"implantation_station": "Parking privé réservé à la clientèle"}, (Restriction.CUSTOMERS,)),
        ({"station_deux_roues": "True", "puissance_nominale": "3.7"}, (Restriction.MOTORCYCLES,)),
        ({"station_deux_roues": "True", "puissance_nominale": "7.4"}, (Restriction.MOTORCYCLES,)),
    ],
)
def test_takes_restrictions_that_the_words_state(cells: dict[str, str], restrictions: tuple[Restriction, ...]) -> None:
    assert charge_point(**cells).restrictions == restrictions
    assert warnings(**cells) == set()


@pytest.mark.parametrize(
    "cells",
    [
        {"puissance_nominale": "7.41"},
        {"puissance_nominale": "3.7", "prise_type_2": "False", "prise_type_combo_ccs": "True"},
    ],
)
def test_doubts_two_wheelers_at_fast_chargers(cells: dict[str, str]) -> None:
    assert charge_point(station_deux_roues="True", **cells).restrictions == ()
    assert warnings(station_deux_roues="True", **cells) == {IrveWarning.TWO_WHEELERS_DOUBTED}


@pytest.mark.parametrize("sent", ["2010-01-01", "2012-09-10", "2026-11-22", "2026-11-23"])
def test_takes_dates_from_2010_to_tomorrow(sent: str) -> None:
    assert charge_point(date_maj=sent).timestamp == datetime.fromisoformat(f"{sent}T00:00:00+00:00")


@pytest.mark.parametrize("sent", ["2009-12-31", "2026-11-24", "2024-02-30", "15/07/2024", "", "2024-07-15T10:00:00"])
def test_leaves_implausible_dates_unknown(sent: str) -> None:
    assert charge_point(date_maj=sent).timestamp is None
    assert warnings(date_maj=sent) == {IrveWarning.DATE_UNKNOWN}


def test_takes_telephone_numbers_as_they_are_and_leaves_others_unknown() -> None:
    assert charge_point(telephone_operateur="0970732103").telephone_number == "0970732103"
    assert charge_point(telephone_operateur="").telephone_number is None
    assert warnings(telephone_operateur="") == set()
    assert charge_point(telephone_operateur="+33.123456789").telephone_number is None
    assert warnings(telephone_operateur="+33.123456789") == {IrveWarning.TELEPHONE_UNKNOWN}


def test_takes_hours_it_understands_and_leaves_others_unknown() -> None:
    times = charge_point(horaires="Mo 22:00-02:00").opening_times
    assert times == read_opening_hours("Mo 22:00-02:00")
    for sent in ("", "Mo 00:00-00:01", "sur demande"):
        assert charge_point(horaires=sent).opening_times is None
        assert warnings(horaires=sent) == {IrveWarning.HOURS_UNKNOWN}


@given(st.fixed_dictionaries(dict.fromkeys(COLUMNS, st.text(max_size=12) | st.just(""))), st.sampled_from(COLUMNS))
def test_never_raises_on_any_row(row: dict[str, str], good: str) -> None:
    for cells in (row, {**GOOD, good: row[good]}):
        try:
            read = understand(cells, NOW)
        except RowRefused as refused:
            assert refused.code in set(RefusalCode)  # noqa: PT017
        else:
            assert read.charge_point.connectors


# ---------------------------------------------------------------- a whole file


def test_accounts_for_every_row_of_the_sample() -> None:
    register = IrveStatic(SAMPLE, NOW)
    assert register.survey().rows == 24
    assert codes(SAMPLE) == [
        None,
        None,
        None,
        "LOCATION_MISMATCH",
        "SWAPPED_COORDINATES",
        None,
        None,
        "OUTSIDE_COVERAGE",
        "OUTSIDE_COVERAGE",
        "PATTERN",
        "NO_CONNECTOR",
        "NO_CONNECTOR",
        "INVALID_ID",
        "INVALID_ID",
        "PATTERN",
        "PATTERN",
        "EMPTY",
        "EMPTY",
        "DUPLICATE",
        None,
        "DUPLICATE",
        None,
        None,
        "MALFORMED_ROW",
    ]


def test_says_where_it_came_from() -> None:
    register = IrveStatic(SAMPLE, NOW)
    assert (register.source, register.licence, register.attribution) == (SOURCE, LICENCE, ATTRIBUTION)
    assert (SOURCE, LICENCE) == ("irve-static", "Licence Ouverte 2.0 (Etalab)")
    assert "data.gouv.fr" in ATTRIBUTION


def test_counts_the_warnings_of_accepted_rows_once() -> None:
    register = IrveStatic(SAMPLE, NOW)
    for _ in range(2):
        list(register.read())
        assert register.warnings == {
            "CITY_UNKNOWN": 3,
            "DATE_UNKNOWN": 2,
            "ADDRESS_REPLACED": 1,
            "AUTH_METHODS_UNKNOWN": 1,
            "CABLE_UNKNOWN": 1,
            "CONNECTOR_DROPPED": 1,
            "HOURS_UNKNOWN": 1,
            "POWER_UNKNOWN": 1,
            "TELEPHONE_UNKNOWN": 1,
            "TWO_WHEELERS_DOUBTED": 1,
            "WORD_UNKNOWN": 1,
        }
        assert sum(register.unknown_hours.values()) == 1


def test_names_column_row_value_and_id_in_a_refusal() -> None:
    refused = answers(SAMPLE)[4]
    assert isinstance(refused, Refusal)
    assert (refused.path, refused.index, refused.id) == ("rows[4].coordonneesXY", 4, "FRZZAE0021")
    assert "[43.2965, 5.3698]" in refused.message


def test_gives_an_operator_its_most_frequent_name_else_its_party_id() -> None:
    assert IrveStatic(SAMPLE, NOW).survey().operators == {
        "FRZZA": "Bornes du Lac",
        "FRZZB": "FR*ZZB",
        "FRZZC": "Deux Roues | FR*ZZC",
    }


def test_lets_the_newest_row_of_an_evse_stand_then_the_last(tmp_path: Path) -> None:
    def register(*days: str) -> list[str | None]:
        return codes(written(tmp_path / "r.csv", *({"date_maj": day} for day in days)))

    assert register("2024-01-01", "2025-01-01", "2023-01-01") == ["DUPLICATE", None, "DUPLICATE"]
    assert register("2024-01-01", "2024-01-01", "2024-01-01") == ["DUPLICATE", "DUPLICATE", None]
    assert register("2024-01-01", "", "2099-01-01") == [None, "DUPLICATE", "DUPLICATE"]


def test_lets_only_sound_rows_replace_an_evse(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", {}, {"date_maj": "2025-01-01", "prise_type_2": "False"})
    assert codes(path) == [None, "NO_CONNECTOR"]


def test_lets_the_most_frequent_position_of_a_location_stand(tmp_path: Path) -> None:
    here, there = {"coordonneesXY": "[6.1, 45.9]"}, {"coordonneesXY": "[6.2, 45.9]"}
    swapped = {"coordonneesXY": "[45.9, 6.2]"}
    rows = [here, there, there, swapped, swapped, swapped]
    path = written(tmp_path / "r.csv", *(row | {"id_pdc_itinerance": f"FRZZAE{n}"} for n, row in enumerate(rows)))
    assert codes(path) == ["LOCATION_MISMATCH", None, None, *["SWAPPED_COORDINATES"] * 3]


def test_judges_positions_by_six_decimals_and_per_operator(tmp_path: Path) -> None:
    path = written(
        tmp_path / "r.csv",
        {"coordonneesXY": "[6.1000001, 45.9]"},
        {"coordonneesXY": "[6.1000002, 45.9]", "id_pdc_itinerance": "FRZZAE2"},
        {"coordonneesXY": "[6.3, 45.9]", "id_pdc_itinerance": "FRZZBE2"},
    )
    assert codes(path) == [None, None, None]


def test_does_not_lose_an_evse_to_its_own_older_position(tmp_path: Path) -> None:
    older = {"coordonneesXY": "[6.1, 45.9]", "date_maj": "2023-01-01"}
    path = written(tmp_path / "r.csv", older, {"coordonneesXY": "[6.2, 45.9]"})
    assert codes(path) == ["DUPLICATE", None]


def test_gives_the_evses_of_a_location_its_most_frequent_address(tmp_path: Path) -> None:
    lines = ["Place du Marché", "Place du Lac, 74000 Annecy", "Place du Lac 74000 Annecy"]
    rows = [{"id_pdc_itinerance": f"FRZZAE{n}", "adresse_station": line} for n, line in enumerate(lines)]
    register = IrveStatic(written(tmp_path / "r.csv", *rows), NOW)
    standing = Address(address="Place du Lac", city="Annecy", zip_code="74000", country="FRA")
    assert [answer.address for answer in register.read() if isinstance(answer, ChargePoint)] == [standing] * 3
    assert register.warnings == {"ADDRESS_REPLACED": 1}


def test_reads_gzip_and_a_byte_order_mark(tmp_path: Path) -> None:
    zipped, marked = tmp_path / "r.csv.gz", tmp_path / "r.csv"
    zipped.write_bytes(gzip.compress(SAMPLE.read_bytes()))
    marked.write_bytes(b"\xef\xbb\xbf" + SAMPLE.read_bytes().replace(b"\n", b"\r\n"))
    assert answers(zipped) == answers(marked) == answers(SAMPLE)


def test_finds_the_columns_by_name(tmp_path: Path) -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = [row[::-1] for row in csv.reader(file) if row]
    path = tmp_path / "r.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    assert answers(path) == answers(SAMPLE)


def test_takes_a_file_without_rows(tmp_path: Path) -> None:
    register = IrveStatic(written(tmp_path / "r.csv"), NOW)
    assert register.survey() == Survey(0, {}, frozenset(), {}, {})
    assert list(register.read()) == []


def unreadable(path: Path) -> str:
    with pytest.raises(UnreadableFile) as refused:
        IrveStatic(path, NOW).survey()
    assert refused.value.code == "UNREADABLE_FILE"
    assert path.name in refused.value.message
    return refused.value.message


def test_says_what_is_wrong_with_a_file_that_is_no_register(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    assert "cannot be read: No such file" in unreadable(path)
    assert "cannot be read: Is a directory" in unreadable(tmp_path)
    path.write_bytes(b"")
    assert "has no column nom_operateur" in unreadable(path)
    path.write_text("id;nom\n1;2\n")
    assert "has no column nom_operateur" in unreadable(path)
    path.write_bytes(SAMPLE.read_bytes().replace(b"coordonneesXY", b"coordonnees"))
    assert unreadable(path).endswith("has no column coordonneesXY")
    path.write_bytes(SAMPLE.read_text(encoding="utf-8").encode("latin-1"))
    assert "is not UTF-8" in unreadable(path)
    path.write_bytes(SAMPLE.read_bytes().replace(b"Bornes du Lac", b"x" * 200_000, 1))
    assert "is not CSV" in unreadable(path)


def test_says_that_a_gzipped_file_is_cut_off_or_damaged(tmp_path: Path) -> None:
    whole, path = gzip.compress(SAMPLE.read_bytes() * 20), tmp_path / "r.csv.gz"
    for length in (3, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "is cut off or damaged" in unreadable(path)
    path.write_bytes(whole[:100] + bytes(100) + whole[200:])
    assert "is cut off or damaged" in unreadable(path)


# ---------------------------------------------------------------- the mapping page and the real file


def test_has_a_line_for_every_column_code_and_warning() -> None:
    page = MAPPING.read_text(encoding="utf-8")
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    assert len(columns) == 40
    own_codes = {
        "NO_CONNECTOR",
        "SWAPPED_COORDINATES",
        "OUTSIDE_COVERAGE",
        "LOCATION_MISMATCH",
        "DUPLICATE",
        "INVALID_ID",
    }
    missing = [name for name in (*columns, *IrveWarning, *sorted(own_codes)) if f"`{name}`" not in page]
    assert missing == []


def counts_of(page: str) -> dict[str, int]:
    """Read the counted lines of the mapping page's tables."""
    lines = re.findall(r"^\| (`[A-Z_`, ]+`) \| ([0-9,]+) \|", page, re.MULTILINE)
    return {code: int(n.replace(",", "")) for names, n in lines for code in re.findall(r"[A-Z_]+", names)}


@dataclass(frozen=True)
class RealRun:
    """One reading of the real file, or of a sample: what each row became, in how many seconds of one core."""

    register: IrveStatic
    answers: list[ChargePoint | Refusal]
    cpu_s: float


@pytest.fixture(scope="module")
def real_run(real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    path = sampled(real_data("irve/irve-static-fr.csv.gz"), tmp_path_factory.mktemp("irve"))
    register = IrveStatic(path, NOW)
    begin = time.process_time()
    read = list(register.read())
    return RealRun(register, read, time.process_time() - begin)


@pytest.mark.realdata
def test_accounts_for_every_row_of_the_real_file(real_run: RealRun) -> None:
    counted = Counter(answer.code if isinstance(answer, Refusal) else "accepted" for answer in real_run.answers)
    assert counted.total() == real_run.register.survey().rows == rounds(4_900, full=78_192)
    assert counted["accepted"] >= 0.95 * counted.total()
    said = counts_of(MAPPING.read_text(encoding="utf-8"))
    found = {code: n for code, n in (counted + real_run.register.warnings).items() if code != "accepted"}
    known = {code: n for code, n in said.items() if n > 0}
    assert all(n <= known.get(code, 0) for code, n in found.items())
    assert found == rounds(found, full=known), "the whole file has what the page counts"
    assert set(said) >= set(IrveWarning)


@pytest.mark.realdata
def test_lets_the_evses_of_every_real_location_agree(real_run: RealRun) -> None:
    places: dict[tuple[str, str], tuple[object, object]] = {}
    accepted = [answer for answer in real_run.answers if isinstance(answer, ChargePoint)]
    for each in accepted:
        place = (each.position, each.address)
        assert places.setdefault((each.evse_id[:5], each.location_id), place) == place
    assert len({each.evse_id for each in accepted}) == len(accepted)
    assert len(places) > rounds(1_000, full=20_000)


@pytest.mark.timed
@pytest.mark.realdata
def test_reads_the_real_file_twice_in_less_than_20_seconds_of_one_core(real_run: RealRun) -> None:
    assert real_run.cpu_s < 20


@pytest.mark.realdata
def test_keeps_nothing_of_the_rows_it_has_read(real_run: RealRun) -> None:
    register = real_run.register
    tracemalloc.start()
    try:
        for _ in islice(register.read(), 5_000):
            pass
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.realdata
def test_reads_all_but_two_spellings_of_the_real_opening_hours(real_data: Callable[[str], Path]) -> None:
    with gzip.open(real_data("irve/irve-static-fr.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        spellings = {row["horaires"] for row in csv.DictReader(file)}
    assert len(spellings) == 447
    assert sum(isinstance(read_opening_hours(each), NotUnderstood) for each in spellings) == 2
