"""Opening hours in OpenStreetMap's syntax: understood to the minute, or unknown with the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats.opening_hours_osm import NotUnderstood, read_opening_hours
from app.records.charge_point import OpeningTimes

ALWAYS = OpeningTimes(twentyfourseven=True)
NEVER = OpeningTimes(twentyfourseven=False)
DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


def week_of(text: str) -> dict[int, str]:
    """Read hours and give them as {weekday: "08:00-12:00 14:00-18:00"}."""
    times = read_opening_hours(text)
    assert isinstance(times, OpeningTimes), times
    week: dict[int, str] = {}
    for hours in times.regular_hours:
        week[hours.weekday] = f"{week.get(hours.weekday, '')} {hours.begin}-{hours.end}".strip()
    return week


def every(days: range, hours: str) -> dict[int, str]:
    return dict.fromkeys(days, hours)


WORKING_DAYS, WEEK = range(1, 6), range(1, 8)


@pytest.mark.parametrize(
    "text",
    [
        "24/7",
        " 24/7 ",
        "Mo-Su 00:00-24:00",
        "Mo-Su 00:00-23:59",
        "00:00-00:00",
        "Mo-Su 08:00-08:00",
        ", ".join(f"{day} 00:00-23:59" for day in DAYS),
        "Sa,Fr,Su,Mo,Tu,We,Th  00:00-23:59",
        "open",
        "24/7; PH open; Mo-Su open",
    ],
)
def test_sees_that_a_place_never_closes(text: str) -> None:
    assert read_opening_hours(text) == ALWAYS


@pytest.mark.parametrize(
    ("text", "week"),
    [
        ("Mo-Fr 08:00-19:00", every(WORKING_DAYS, "08:00-19:00")),
        ("MO-FR 8:00-19:00", every(WORKING_DAYS, "08:00-19:00")),
        ("Fr 08:00-19:00,Th,We,Mo-Tu  08:00-19:00", every(WORKING_DAYS, "08:00-19:00")),
        ("08:30-20:30", every(WEEK, "08:30-20:30")),
        ("06:00-00:00", every(WEEK, "06:00-24:00")),
        ("Mo-Su 00:01-23:59", every(WEEK, "00:01-24:00")),
        ("Mo-Sun 07:00-21:00", every(WEEK, "07:00-21:00")),
        ("Mo-Fr 08:00-12:00,14:00-18:00", every(WORKING_DAYS, "08:00-12:00 14:00-18:00")),
        ("Mo-Fr 08:00-12:00, Mo-Fr13:30-17:00", every(WORKING_DAYS, "08:00-12:00 13:30-17:00")),
        ("Mo-Fr 08:00-19:30, Mo-Fr 08:00-23:00", every(WORKING_DAYS, "08:00-23:00")),
        ("Mo-Fr 08:00-12:00,Mo-Fr 12:00-18:00", every(WORKING_DAYS, "08:00-18:00")),
        ("Fr-Mo 10:00-12:00", dict.fromkeys((5, 6, 7, 1), "10:00-12:00")),
        ("Lun-Ven 08:30-17:00", every(WORKING_DAYS, "08:30-17:00")),
        (
            " Lu- Ve 08:00-19:00, Sa- Di 09:00-18:00",
            every(WORKING_DAYS, "08:00-19:00") | {6: "09:00-18:00", 7: "09:00-18:00"},
        ),
        ("Mardi 9:00-12:00", {2: "09:00-12:00"}),
        ("Mo\u2013Fr 08:00\u201319:00", every(WORKING_DAYS, "08:00-19:00")),
        ("Mo-Su,PH 08:00-20:00", every(WEEK, "08:00-20:00")),
        ("Mo-Su 08:00-18:00; We off", {d: "08:00-18:00" for d in WEEK if d != 3}),
        ("Mo-Su 08:00-18:00, We off", {d: "08:00-18:00" for d in WEEK if d != 3}),
        ("Mo-Su 08:00-18:00; We 10:00-12:00", every(WEEK, "08:00-18:00") | {3: "10:00-12:00"}),
        ("24/7; Su off", every(range(1, 7), "00:00-24:00")),
        ("Mo-Fr 00:00-00:00, Sa 00:00-00:00", every(range(1, 7), "00:00-24:00")),
    ],
)
def test_reads_weekly_hours(text: str, week: dict[int, str]) -> None:
    assert week_of(text) == week


@pytest.mark.parametrize(
    ("text", "week"),
    [
        ("Mo 22:00-02:00", {1: "22:00-24:00", 2: "00:00-02:00"}),
        ("Mo 22:00-26:00", {1: "22:00-24:00", 2: "00:00-02:00"}),
        ("Su 22:00-02:00", {7: "22:00-24:00", 1: "00:00-02:00"}),
        ("Tu 08:00-08:00", {2: "08:00-24:00", 3: "00:00-08:00"}),
        (
            "Mo-Fr 19:00-08:00,Sa-Su 00:00-23:59",
            {1: "19:00-24:00"} | every(range(2, 6), "00:00-08:00 19:00-24:00") | every(range(6, 8), "00:00-24:00"),
        ),
        ("Mo 06:00-23:59,Tu 00:00-01:00", {1: "06:00-24:00", 2: "00:00-01:00"}),
        ("Fr 22:00-04:00; Sa 00:00-12:00", {5: "22:00-24:00", 6: "00:00-12:00"}),
    ],
)
def test_splits_the_night_at_midnight(text: str, week: dict[int, str]) -> None:
    assert week_of(text) == week


@pytest.mark.parametrize("text", ["off", "closed", "Mo-Su off", "24/7; Mo-Su off"])
def test_sees_that_a_place_never_opens(text: str) -> None:
    assert read_opening_hours(text) == NEVER


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing is said"),
        ("   ", "nothing is said"),
        ("inconnu", "'inconnu' is not understood"),
        ("Mo 00:00-00:01", "a single minute"),
        ("Mo-Fr 08:00-18:00; PH off", "public holidays differ"),
        ("Mo-Fr,PH 08:00-18:00", "public holidays differ"),
        ("Mo-PH 08:00-18:00", "range of days"),
        ("PH off", "when it is closed"),
        ("Su off", "when it is closed"),
        ("Mar 08:00-18:00", "'Mar' is not understood"),
        ("Apr-Sep Mo-Fr 08:00-18:00", "'Apr' is not understood"),
        ("week 10-20 08:00-18:00", "'week' is not understood"),
        ("Mo-Fr 08:00-sunset", "'sunset' is not understood"),
        ("SH off", "'SH' is not understood"),
        ("2025 Mo 08:00-10:00", "neither days nor hours"),
        ("Mo[1] 08:00-12:00", "days stand without hours"),
        ("Mo-Fr 08:00+", "days stand without hours"),
        ("Mo-Fr 08:00-12:00 || 10:00-12:00", "does not continue"),
        ('Mo-Fr 08:00-12:00 "sur demande"', "'sur' is not understood"),
        ("Mo-Fr", "days stand without hours"),
        ("Mo-Fr 24/7", "24/7 stands with days"),
        ("Mo-Fr 8h-18h", "'h' is not understood"),
        ("Mo-Fr 08:00-12:60", "12:60 is not a time"),
        ("Mo-Fr 08:00-49:00", "49:00 is not a time"),
        ("Mo-Fr 24:00-26:00", "begins after the end of its day"),
        ("Mo-Sa 09:00-12:00 14:00-19:00", "does not continue"),
        ("Mo-Fr 08:00-12:00;14:00-18:00", "names no days"),
        ("Fr 22:00-04:00; Sa 10:00-12:00", "runs overnight"),
        ("Mo 0\u0668:00-12:00", "days stand without hours"),
        ("\uff2d\uff4f 08:00-12:00", "is not understood"),
        ("A 08:00-12:00", "'A' is not understood"),
        ("w", "'w' is not understood"),
    ],
)
def test_gives_the_reason_for_what_it_does_not_understand(text: str, reason: str) -> None:
    answer = read_opening_hours(text)
    assert isinstance(answer, NotUnderstood), answer
    assert reason in answer.reason


@given(st.text(max_size=40) | st.text("MoTuSa0123456789:-,; offPH/", max_size=40))
def test_never_raises(text: str) -> None:
    assert isinstance(read_opening_hours(text), OpeningTimes | NotUnderstood)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, set[int]]:
    """Draw rules joined by commas, with the minutes of the week that they open, counted one by one."""
    texts: list[str] = []
    minutes: set[int] = set()
    for _ in range(draw(st.integers(1, 5))):
        days = draw(st.lists(st.integers(0, 6), min_size=1, max_size=7))
        begin, length = draw(st.integers(0, 1438)), draw(st.integers(2, 1440))
        end = begin + length
        for day in days:
            last = end if end % 1440 != 1439 else end + 1
            minutes |= {(day * 1440 + minute) % 10080 for minute in range(begin, last)}
        written = end - 1440 if end > 1440 and draw(st.booleans()) else end
        comma = draw(st.sampled_from([",", ", "]))
        texts.append(
            f"{comma.join(DAYS[day] for day in days)}{draw(st.sampled_from(['', ' ']))}{clock(begin)}-{clock(written)}"
        )
    return draw(st.sampled_from([",", ", ", " ,"])).join(texts), minutes


@given(rules())
def test_opens_exactly_the_minutes_that_the_rules_name(drawn: tuple[str, set[int]]) -> None:
    text, expected = drawn
    times = read_opening_hours(text)
    if isinstance(times, NotUnderstood):
        assert "single minute" in times.reason
        return
    opened: set[int] = set(range(10080)) if times.twentyfourseven else set()
    for hours in times.regular_hours:
        begin, end = (int(t[:2]) * 60 + int(t[3:]) for t in (hours.begin, hours.end))
        assert 0 <= begin < end <= 1440
        span = {(hours.weekday - 1) * 1440 + minute for minute in range(begin, end)}
        assert not span & opened
        opened |= span
    assert opened == expected


def test_reads_the_spellings_of_the_register() -> None:
    # The kinds of spelling that the real file has, one each: all but the placeholder and the missing comma are read.
    spellings = {
        "Th,Tu,Su,Fr,We,Mo,Sa  08:00-19:00": 7,
        "Sa  07:45-20:45,Fr,We,Th,Mo,Tu  07:45-20:15": 6,
        "We,Tu,Th,Mo  07:30-21:30,Su,Sa  00:00-01:00,Su  10:00-22:00,Sa  10:00-23:45,Fr  07:00-23:45": 9,
        "Mo 07:00-00:00,Tu 07:00-00:00": 2,
        "Mo-TH 8:00-12:00,Mo-TH 14:00-19:00,Fr 9:00-12:00,Fr14:00-18:00,Sa 09:00-12:00,Sa14:00-17:00": 12,
    }
    for text, entries in spellings.items():
        times = read_opening_hours(text)
        assert isinstance(times, OpeningTimes)
        assert len(times.regular_hours) == entries
