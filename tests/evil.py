"""Requests made to hurt: each costs its sender nothing and would cost a careless server a lot."""

import json


def doubling(levels: int, with_fields: bool) -> str:
    """Each fragment holds the next one twice."""
    own = "role" if with_fields else ""
    chain = "".join(f"fragment F{n} on Caller {{{own} ...F{n + 1} ...F{n + 1}}}" for n in range(levels))
    return "{me{...F0}}" + chain + f"fragment F{levels} on Caller {{role}}"


def repeated(pattern: str, times: int) -> str:
    """Return a pattern so many times, with a number for each `#`."""
    return " ".join(pattern.replace("#", str(number)) for number in range(times))


DOCUMENTS = {
    "fragments that double": doubling(20, with_fields=False),
    "fragments that double, with fields": doubling(20, with_fields=True),
    "fragments that all hold all": "{me{...F0}}"
    + "".join(f"fragment F{n} on Caller {{{repeated('...F#', 30)}}}" for n in range(30)),
    "a cycle of fragments": "{me{...F0}}"
    + "".join(f"fragment F{n} on Caller {{role ...F{(n + 1) % 40}}}" for n in range(40)),
    "a long chain of fragments": "{me{...F0}}" + "".join(f"fragment F{n} on Caller {{...F{n + 1}}}" for n in range(49)),
    "many fragments": "{me{role}}" + repeated("fragment F# on Caller {role partyId}", 400),
    "deep nesting": "{me{partner{" * 1_000 + "id" + "}}}" * 1_000,
    "deep inline fragments": "{" + "...{" * 190 + "me{role}" + "}" * 190 + "}",
    "10,000 aliases": "{me{" + repeated("a#:role", 10_000) + "}}",
    "900 aliases": "{me{" + repeated("a#:role", 900) + "}}",
    "10,000 directives": "{me{role " + "@include(if:true)" * 2_800 + "}}",
    "400 directives": "{me{role " + "@include(if:true)" * 400 + "}}",
    "many root fields": "{" + repeated("a#:me{role}", 180) + "}",
    "many operations": repeated("query A# {me{role}}", 300),
    "one field often": "{me{" + "role " * 900 + "}}",
    "one object often": "{me{" + "partner{id name} " * 240 + "}}",
    "objects in objects often": "{me{" + ("partner{roles{" + "role " * 20 + "}}") * 28 + "}}",
    "fields in many fragments": "{me{"
    + repeated("...F#", 49)
    + "}}"
    + repeated("fragment F# on Caller {partner{id name} role partyId}", 49),
    "unknown fields": "{me{" + repeated("rolee#", 950) + "}}",
    "unknown arguments": "{evses(" + repeated("fist#:1", 950) + "){nodes{evseId}}}",
    "unused variables": "query(" + repeated("$a#:Int", 700) + "){me{role}}",
    "a long string": '{evse(evseId:"' + "x" * 49_000 + '"){evseId}}',
    "a long string of escapes": '{evse(evseId:"' + "\\u0041" * 8_000 + '"){evseId}}',
    "a long block string": '{evse(evseId:"""' + "x\n" * 24_000 + '"""){evseId}}',
    "a long number": "{evses(first:" + "9" * 49_000 + "){nodes{evseId}}}",
    "a long number in a directive": "{me @skip(if:" + "9" * 49_000 + "){role}}",
    "a long fraction": "{evses(first:1." + "9" * 49_000 + "){nodes{evseId}}}",
    "a long list": "{evses(filter:{evseIds:[" + '"DE*SON*E1"' * 2_900 + "]}){nodes{evseId}}}",
    "a list of unknown words": "{evses(filter:{authMethods:[" + "PUBLICK " * 2_900 + "]}){nodes{evseId}}}",
    "a deep list": "{evses(filter:{evseIds:" + "[" * 190 + "]" * 190 + "}){nodes{evseId}}}",
    "one member often": "{evses(filter:{" + "a:{b:1} " * 140 + "}){nodes{evseId}}}",
    "20,000 tokens": "{" + "x " * 20_000 + "}",
    "20,000 comments": "#\n" * 20_000 + "{nothing}",
    "a long name": "{" + "x" * 49_000 + "}",
    "a document that is long": "{nothing}" + " " * 60_000,
    "the schema in circles": "{__schema{types{" + "fields{type{" * 10 + "name" + "}}" * 10 + "}}}",
    "the schema for a stranger": "{__schema{types{name}}}",
    "a cost beyond all": "{"
    + repeated("a#:evses(first:500){nodes{evseId connectors{standard} images{uri}}}", 19)
    + "}",
    "a lone surrogate": '{evse(evseId:"\\ud800"){evseId}}',
    "NUL": "\x00{me{role}}",
}

IDS = "query($x:[EvseId!]){evses(filter:{evseIds:$x}){nodes{evseId}}}"
FILTER = "query($x:EvseFilter){evses(filter:$x){nodes{evseId}}}"


def _posted(query: str, x: str) -> bytes:
    return f'{{"query": {json.dumps(query)}, "variables": {{"x": {x}}}}}'.encode()


#: Bodies small enough for a stranger.
BODIES = {
    "deep lists": _posted(IDS, "[" * 100_000 + "]" * 100_000),
    "deep lists that JSON can hold": _posted(IDS, "[" * 1_000 + "]" * 1_000),
    "deep objects": _posted(FILTER, '{"evseIds":' * 900 + "1" + "}" * 900),
    "many ids": _posted(IDS, "[" + ",".join(['"DE*SON*E1"'] * 19_000) + "]"),
    "many things that are no ids": _posted(IDS, "[" + ",".join(["7"] * 4_900) + "]"),
    "many empty lists": _posted(IDS, "[" + ",".join(["[]"] * 80_000) + "]"),
    "many unknown members": _posted(FILTER, json.dumps({f"member{n}": n for n in range(4_900)})),
    "a long text": _posted(IDS, json.dumps("x" * 240_000)),
    "a number beyond all": _posted(IDS, "1e999"),
    "a number of 100,000 digits": _posted(IDS, "9" * 100_000),
    "a lone surrogate": _posted(IDS, '"\\ud800"'),
    "bytes that are no UTF-8": b'{"query": "\xff\xfe"}',
    "one member often": b'{"query": "{me{role}}", ' + b'"query": 7, ' * 18_000 + b'"query": 7}',
    "brackets only": b"[" * 250_000,
    "more than a stranger may send": _posted(IDS, json.dumps("x" * 300_000)),
}


def fresh(query: str, number: int) -> str:
    """Return a document that was never read before: what is remembered costs nothing."""
    return f"{query} #{number}"
