"""Opening hours in OpenStreetMap's syntax, as registers write them, into weekly hours. Pure.

Understood is what a week of fixed hours can say: `24/7`, weekdays, ranges, lists, several spans a day, hours past
midnight (`22:00-02:00`, `22:00-26:00`), rules after `,` (added) and after `;` (replacing the days they name), `off`,
and French or longer day names. All else is not guessed: months, weeks, dates, school holidays, sunrise, open ends,
fallbacks, comments give the reason why instead.

Decisions
- An end of 23:59 means midnight: a minute's closing at the end of a day is an artefact of forms without 24:00.
- An end that is not after its begin lies on the next day: 19:00-08:00 is overnight, 08:00-08:00 a whole day from eight
  to eight, 00:00-00:00 the whole day. What lies after midnight is given to the next day.
- A day that opens for a single minute (00:00-00:01) is a placeholder, not hours.
- `PH`: the hub knows no public holidays, so they are understood only where they are like every other day.
- The three-letter French Tuesday is March in this syntax, so `Mar` is not understood; `Ma` and `Mardi` are.
- A rule after `;` that names a day into which an earlier rule runs overnight is read differently by different
  evaluators, so it is not understood (unless the result is the same).

Why not a library: evaluators (opening-hours-py, opening_hours.js) answer "is it open at t"; reading a week back out of
one evaluates whatever season or holiday that week happens to have, which is the guess to be avoided, and none of them
reads the register's French names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from app.ids import shown
from app.records.charge_point import OpeningTimes, RegularHours

#: Minutes of a day. A day's hours are an integer: bit n is the minute n after its midnight, until the next day ends.
DAY = 24 * 60
WHOLE_DAY = (1 << DAY) - 1
WEEK = range(7)
HOLIDAY = 7


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """Why opening hours stay unknown, in a sentence for the importer's report."""

    reason: str


class _Unreadable(Exception):
    """Leaves the parser; never the module."""


_DAY_NAMES = (
    "mo mon monday lu lun lundi",
    "tu tue tues tuesday ma mardi",
    "we wed wednesday me mer mercredi",
    "th thu thur thurs thursday je jeu jeudi",
    "fr fri friday ve ven vendredi",
    "sa sat saturday sam samedi",
    "su sun sunday di dim dimanche",
    "ph",
)
_OTHER_WORDS = {"off": "x", "closed": "x", "ferme": "x", "fermé": "x", "open": "o", "ouvert": "o", "24/7": "w"}
_WORDS = {name: "ABCDEFGH"[day] for day, names in enumerate(_DAY_NAMES) for name in names.split()} | _OTHER_WORDS

_DAYS = r"[A-H](?:-[A-H])?(?:,[A-H](?:-[A-H])?)*"
_SPAN = r"\d{1,2}:\d\d-\d{1,2}:\d\d"
_RULE = re.compile(rf"(?P<days>{_DAYS})?(?P<hours>{_SPAN}(?:,{_SPAN})*|[xow])?", re.ASCII)


@lru_cache(maxsize=4096)
def read_opening_hours(text: str) -> OpeningTimes | NotUnderstood:
    """Read opening hours in OpenStreetMap's syntax; what cannot be understood comes back as the reason.

    Source: https://wiki.openstreetmap.org/wiki/Key:opening_hours/specification
    """
    try:
        return _opening_times(_week(_compact(text)))
    except _Unreadable as reason:
        return NotUnderstood(f"{shown(text, 80)}: {reason}")


def _compact(text: str) -> str:
    """Return the text without blanks, each day, `off`, `open` and `24/7` as one letter."""
    if not text.strip():
        raise _Unreadable("nothing is said")
    text = re.sub(r"[\u2010-\u2014\u2212]", "-", text)
    text = re.sub(r"\b24/7\b|[^\W\d_]+", lambda word: _letter(word[0]), text)
    # A blank between two figures separates: 09:00-12:00 14:00-19:00 must not become one number.
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text).strip(",;")


def _letter(word: str) -> str:
    if letter := _WORDS.get(word.lower()):
        return letter
    raise _Unreadable(f"{shown(word)} is not understood; possible: days of the week, hours, 24/7, off")


def _week(text: str) -> list[int]:
    """Return the hours of the seven days and of public holidays (-1: not named)."""
    week = [-1] * 8
    for number, group in enumerate(text.split(";")):
        for place, (days, hours) in enumerate(_rules(group)):
            if number > 0 and place == 0 and days is None:
                raise _Unreadable("a rule after ; names no days, so it would replace all before it")
            named = list(WEEK) if days is None else _named(days)
            _apply(week, named, hours, replacing=place == 0 or hours is None)
    return week


def _rules(group: str) -> Iterator[tuple[str | None, int | None]]:
    """Return the rules between two `;`: the days as written, and their hours (None: off)."""
    place = 0
    while True:
        rule = _RULE.match(group, place)
        if rule is None or not rule[0]:
            raise _Unreadable("a rule is neither days nor hours")
        if rule["hours"] is None:
            raise _Unreadable("days stand without hours")
        if rule["hours"] == "w" and rule["days"] is not None:
            raise _Unreadable("24/7 stands with days")
        yield rule["days"], _hours(rule["hours"])
        place = rule.end()
        if place == len(group):
            return
        if group[place] != ",":
            raise _Unreadable(f"{shown(group[place : place + 11])} does not continue a rule")
        place += 1


def _named(days: str) -> list[int]:
    """Return the days of a list like A-C,E; a range may wrap the week."""
    named: list[int] = []
    for part in days.split(","):
        first, last = "ABCDEFGH".index(part[0]), "ABCDEFGH".index(part[-1])
        if first != last and HOLIDAY in (first, last):
            raise _Unreadable("public holidays stand in a range of days")
        named += [first] if first == last else [(first + n) % 7 for n in range((last - first) % 7 + 1)]
    return named


def _hours(text: str) -> int | None:
    """Return a rule's hours; None: off."""
    if text in ("o", "w"):
        return WHOLE_DAY
    if text == "x":
        return None
    hours = 0
    for span in text.split(","):
        begin, end = (_minute(clock) for clock in span.split("-"))
        if begin >= DAY:
            raise _Unreadable(f"{span} begins after the end of its day")
        end = DAY if end == DAY - 1 else end
        end += DAY if end <= begin else 0
        hours |= (1 << end) - (1 << begin)
    return hours


def _minute(clock: str) -> int:
    hour, minute = (int(figures) for figures in clock.split(":"))
    if minute > 59 or hour * 60 + minute > 2 * DAY:
        raise _Unreadable(f"{clock} is not a time")
    return hour * 60 + minute


def _apply(week: list[int], days: list[int], hours: int | None, *, replacing: bool) -> None:
    for day in days:
        week[day] = (hours or 0) if replacing else max(week[day], 0) | (hours or 0)
    for day in days if replacing else ():
        before = (day - 1) % 7
        if day != HOLIDAY and before not in days and max(week[before], 0) >> DAY & ~week[day]:
            raise _Unreadable("a rule after ; names a day into which an earlier rule runs overnight")


def _opening_times(week: list[int]) -> OpeningTimes:
    days, holiday = [max(day, 0) for day in week[:7]], week[HOLIDAY]
    if holiday != -1 and any(day != holiday for day in days):
        raise _Unreadable("public holidays differ from other days, and the hub does not know them")
    if not any(days) and -1 in week[:7]:
        raise _Unreadable("it says when it is closed, not when it is open")
    folded = [days[day] & WHOLE_DAY | days[day - 1] >> DAY for day in WEEK]
    if any(day.bit_count() == 1 for day in folded):
        raise _Unreadable("a day opens for a single minute: a placeholder, not hours")
    if all(day == WHOLE_DAY for day in folded):
        return OpeningTimes(twentyfourseven=True)
    hours = tuple(RegularHours(weekday=day + 1, begin=b, end=e) for day in WEEK for b, e in _spans(folded[day]))
    return OpeningTimes(regular_hours=hours) if hours else OpeningTimes(twentyfourseven=False)


def _spans(hours: int) -> Iterator[tuple[str, str]]:
    """Return the spans of a day as HH:MM pairs, from its lowest bits up."""
    minute = 0
    while hours:
        closed = (hours & -hours).bit_length() - 1
        hours >>= closed
        opened = (hours + 1 & ~hours).bit_length() - 1
        hours >>= opened
        begin, minute = minute + closed, minute + closed + opened
        yield f"{begin // 60:02}:{begin % 60:02}", f"{minute // 60:02}:{minute % 60:02}"
