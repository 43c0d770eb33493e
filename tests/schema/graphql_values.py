"""Values and documents made at random from the schema itself: whatever is added to it is tried out too."""

from collections.abc import Collection
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)
from hypothesis import strategies as st

from schema.build import schema
from tests.world import CALLERS

CORE = schema._schema

#: Ids of the default world, and what only looks like some.
EVSE_IDS = ["DE*SON*E1", "desone4*1", "+49*823*1234*5678", "DE*VER*E1", "NO*FJO*E2", "FR*REG*E1", "DE*SON*E99"]
PARTY_IDS = ["DESON", "de*823", "NO-FJO", "DEVER", "ZZZZZ"]
PARTNER_IDS = [f"00000001-0000-4000-8000-{number:012}" for number in (1, 3, 5, 8, 99)]

SOME_TEXT = st.one_of(
    st.sampled_from(
        ["", " ", "\x00", "a\x00b", "ä", "💥", "'", '"', "\\", "%", "{}", "null", "MUENSTER", "Ⅷ", "x" * 300]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
SOME_NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, -1, 50, 500, 501, 2**31 - 1, 2**31, -(2**31), 2**63, 1e-320, 1e308, -1e308, 0.1, 90, 180, -180]
    ),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
)
SOMETHING = st.one_of(st.none(), st.booleans(), SOME_TEXT, SOME_NUMBERS, st.just([]), st.just({}))

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "CdrId": st.sampled_from(["DESON1", "deson2", "OLD1"]),
    "Cursor": st.sampled_from(["", "WyJlIiwxLDAsIiJd", "no cursor"]),
    "EvseId": st.sampled_from(EVSE_IDS),
    "PartyId": st.sampled_from(PARTY_IDS),
    "ParkingId": st.sampled_from(["DE*PRK*P1", "deprkp2"]),
    "ContractId": st.sampled_from(["DE-8AA-001234567-0", "de8aa001234567"]),
    "Decimal": st.sampled_from(["0", "7.50", "12"]),
    "TariffId": st.sampled_from(["DE*SON*T1", "desont2"]),
    "DateTime": st.sampled_from(["2024-03-04T12:30:00Z", "2199-12-31t23:59:59.123456+14:00", "0001-01-01T00:00:00Z"]),
    "LocalDateTime": st.sampled_from(["2024-03-04T12:30:00+01:00", "2024-03-04T13:30:00-05:00"]),
    "ID": st.sampled_from(PARTNER_IDS),
    "Int": st.sampled_from([1, 2, 3, 50, 500]),
    "Float": st.one_of(st.floats(-180, 180), st.sampled_from([0, 7.4, 22, 43, 50, 150, 1000])),
    "Boolean": st.booleans(),
    "String": st.sampled_from(["MUENSTER", "kai", "NULL ISLAND", "NOWHERE"]),
}


def _near(centre: tuple[float, float], radius_m: float) -> dict[str, float]:
    return {"latitude": centre[0], "longitude": centre[1], "radiusM": radius_m}


def _bounds(latitudes: list[float], west: float, east: float) -> dict[str, float]:
    south, north = sorted(latitudes)
    corners = {"minimumLatitude": south, "minimumLongitude": west, "maximumLatitude": north, "maximumLongitude": east}
    return corners if west != east else {**corners, "minimumLongitude": -180, "maximumLongitude": 180}


LATITUDES = st.sampled_from([0, 90, -90, 48.398012, 48.4, -16.8, 89.9999]) | st.floats(-90, 90)
LONGITUDES = st.sampled_from([0, 180, -180, 9.991543, 9.99, 179.99]) | st.floats(-180, 180)
#: From there no two places of the default world are equally far but for the last bit.
CENTRES = st.tuples(st.sampled_from([48.398, 48.4]) | st.floats(30, 60), st.sampled_from([9.9915]) | st.floats(1, 30))
#: On half of the earth: a ring of them goes round no pole.
POINTS = st.fixed_dictionaries({"latitude": st.floats(-80, 80), "longitude": st.floats(-85, 85)})

#: Inputs whose fields must fit each other.
WHOLE: dict[str, st.SearchStrategy[Any]] = {
    "NearInput": st.builds(_near, CENTRES, st.sampled_from([1, 500, 10_000, 6e6])),
    "BoundsInput": st.builds(_bounds, st.lists(LATITUDES, min_size=2, max_size=2, unique=True), LONGITUDES, LONGITUDES),
    "RouteInput": st.sampled_from(
        [{"polyline": "_hyfHoby{@_pR_pR"}, {"polyline": "_p~iF~ps|U_ulLnnqC", "corridorM": 500}]
    ),
}
WHOLE["TokenInput"] = st.fixed_dictionaries(
    {"instance": st.sampled_from(["04AB12", "4A"]), "type": st.sampled_from(["RFID", "ISO_15118"])}
)
WHOLE["PriceInput"] = st.fixed_dictionaries(
    {"energyKwh": SCALARS["Decimal"], "durationMinutes": SCALARS["Int"]},
    optional={
        "parkingMinutes": SCALARS["Int"],
        "powerKw": SCALARS["Decimal"],
        "start": st.just("2026-06-07T19:30:00Z"),
        "connector": st.sampled_from(["IEC_62196_T2", "CHADEMO"]),
        "providerId": SCALARS["PartyId"],
        "currency": st.sampled_from(["EUR", "NOK"]),
    },
)
POLYGONS = st.lists(POINTS, min_size=4, max_size=6, unique_by=lambda point: tuple(point.values()))


def values_of(type_: GraphQLInputType, wild: bool) -> st.SearchStrategy[Any]:
    """Return JSON values for an input type; `wild` ones need not fit."""
    fitting = _fitting(type_, wild)
    return st.one_of(fitting, fitting, fitting, SOMETHING) if wild else fitting


def _fitting(type_: GraphQLInputType, wild: bool) -> st.SearchStrategy[Any]:
    if isinstance(type_, GraphQLNonNull):
        return values_of(type_.of_type, wild).filter(lambda value: wild or value is not None)
    if isinstance(type_, GraphQLList):
        return st.lists(values_of(type_.of_type, wild), max_size=3)
    if isinstance(type_, GraphQLEnumType):
        return st.sampled_from(sorted(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        return WHOLE[type_.name] if type_.name in WHOLE and not wild else st.deferred(lambda: _objects(type_, wild))
    assert isinstance(type_, GraphQLScalarType)
    return SCALARS[type_.name] | SOME_TEXT if wild else SCALARS[type_.name]


def _objects(type_: GraphQLInputObjectType, wild: bool) -> st.SearchStrategy[Any]:
    fields = {name: values_of(field.type, wild) for name, field in type_.fields.items()}
    if "polygon" in fields and not wild:
        fields["polygon"] = POLYGONS
    definition = type_.extensions.get("strawberry-definition")
    if definition is not None and definition.is_one_of:
        return st.one_of(*(st.fixed_dictionaries({name: values}) for name, values in fields.items()))
    required = {name for name, field in type_.fields.items() if is_required_input_field(field)}
    return st.fixed_dictionaries(
        {name: values for name, values in fields.items() if name in required},
        optional={name: values for name, values in fields.items() if name not in required},
    )


def arguments_of(arguments: dict[str, GraphQLArgument], wild: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Return arguments by name; required ones always, and no cursors, unless they are `wild`."""
    named = {name: argument for name, argument in arguments.items() if wild or name not in ("after", "cursor", "since")}
    values = {name: values_of(argument.type, wild) for name, argument in named.items()}
    needed = {name for name, argument in arguments.items() if is_required_argument(argument) and not wild}
    made = st.fixed_dictionaries(
        {name: each for name, each in values.items() if name in needed},
        optional={name: each for name, each in values.items() if name not in needed},
    )
    return made if wild else made.map(_possible)


def _possible(arguments: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a list by prices or a price cannot have."""
    without = {"price", "maxPrice", "orderBy"} if "within" not in arguments or "price" not in arguments else set()
    if "energyKwh" in arguments and arguments.get("start", "").startswith("0001"):
        without.add("start")
    return {name: value for name, value in arguments.items() if name not in without}


def whole_selection(type_: Any, depth: int = 3, above: Collection[int] = ()) -> str:
    """Return a selection with every leaf down to a depth; empty for leaves. No field stands within itself."""
    named = get_named_type(type_)
    if not isinstance(named, GraphQLObjectType) or depth == 0:
        return ""
    parts = ["__typename"]
    for name, field in named.fields.items():
        if id(field) in above:
            continue
        below = whole_selection(field.type, depth - 1, (*above, id(field)))
        if below or is_leaf_type(get_named_type(field.type)):
            parts.append(f"{name} {below}".strip())
    return "{ " + " ".join(parts) + " }"


def literal(value: Any, type_: Any) -> str:
    """Write a JSON value as GraphQL text for a place of this type."""
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        inner = type_.of_type if isinstance(type_, GraphQLList) else type_
        return "[" + ", ".join(literal(each, inner) for each in value) + "]"
    if isinstance(value, dict):
        fields = type_.fields if isinstance(type_, GraphQLInputObjectType) else {}
        members = (
            f"{key}: {literal(each, fields[key].type if key in fields else None)}" for key, each in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(type_, GraphQLEnumType) and value in type_.values:
        return value
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\u{{{ord(c):X}}}" for c in value) + '"'


WHO = st.sampled_from([None, *sorted(set(CALLERS) - {"ruhend"})])
