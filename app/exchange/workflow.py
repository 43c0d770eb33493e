"""Workflows: rows between two roles that move from state to state, and the history of every transition.

A workflow is data: the table whose rows move, and the transitions that are possible. `advance` refuses every other one
in a sentence, moves the rest with one statement by compare-and-set, and writes the history in the same statement.

A new transition is one row in `Workflow.transitions`. A new workflow is a `Workflow` in the folder of its entity, with
columns for the state and for the ids of the two roles that a row belongs to. A new private entity adds, beside its own
folder, one line each in these files:

- `app/db/tables/__init__.py`: its table, which also goes into the migration
- `app/db/migrate.py`: its file in `app/db/sql`, with row-level security and grants
- `app/visibility/rules.py`: the rule for its table, `of_two_roles`, and its table's name in `PRIVATE`
- `app/vocabulary.py`: the kind of its rows in the change log, in `LogKind`
- `schema/private_entities.py`: its list, and what pages of its changes consist of
- `schema/query.py`: its root field
- `schema/subscription.py`: its feed, in `FEEDS`, and its subscription
- `tests/visibility/worlds.py`: its rows and their viewers; until then its policies fail in `test_broken_twins.py` there

`tests/exchange/private_entity` is such a folder.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from app.db.engine import Connection, Database
from app.errors import BadInput, Forbidden, HubError
from app.exchange.actor import Actor, not_found, read_as, require_administrator
from app.uploads.yielding import yielding

#: The part of an actor that acts for no side.
ADMINISTRATOR: Final = "the administrator"

Key = UUID | str | int


class NotPossible(HubError):
    """A command does not fit the state of the row that it names."""

    code = "NOT_POSSIBLE"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of a transition table. `before` is None where the command creates the row.

    `by`: the parts, in words for sentences, of which the actor must play one.
    """

    before: str | None
    command: str
    after: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A transition table, and where its rows are.

    `sides`: the columns with the ids of the two roles that a row belongs to. `parts`: what a role can be to a row, each
    with an SQL expression for the id of the role that is it. `given`: the values that a move may bring, by name with
    their SQL types. `assignments`: what a transition sets besides the state, in SQL over `subject` (the row as it was)
    and `step` (`command`, `from_state`, `to_state`, `at`, `actor_role_id`, and what is given, null where it is not).
    """

    noun: str
    table: str
    transitions: tuple[Transition, ...]
    parts: tuple[tuple[str, str], ...]
    sides: tuple[str, str] = ("first_role_id", "second_role_id")
    key: str = "id"
    key_type: str = "uuid"
    state: str = "status"
    given: tuple[tuple[str, str], ...] = ()
    assignments: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A command on one row.

    `expected`: the state in which the caller read the row, if it must still be in it. `values`: of the columns that the
    workflow lists as `given`.
    """

    key: Key
    command: str
    reason: str | None = None
    expected: str | None = None
    content_hash: bytes | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Moved:
    """A transition that was made."""

    key: Key
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A move that was not made, and why.

    NotFound: there is no such row, or it is not the actor's. Forbidden: the move is for another part. NotPossible: the
    row is in another state. BadInput: an earlier move names the same row.
    """

    move: Move
    error: HubError


@dataclass(frozen=True, slots=True)
class Advanced:
    moved: tuple[Moved, ...]
    refused: tuple[Refused, ...]


async def advance(
    connection: Connection, workflow: Workflow, moves: Sequence[Move], actor: Actor, now: datetime
) -> Advanced:
    """Make all moves that are possible, in the caller's transaction, which must know the actor (`write_as`).

    Rows are locked in the order of their keys, then the chains of their pairs of partners in order: transactions that
    move the same rows wait for each other and judge the state that the first one left.
    """
    rows = await _lock(connection, workflow, moves, actor)
    steps: list[_Step] = []
    refused: list[Refused] = []
    seen: set[Key] = set()
    async for move in yielding(moves):
        try:
            steps.append(_judge(workflow, move, rows.get(move.key), move.key in seen))
        except HubError as error:
            refused.append(Refused(move, error))
        seen.add(move.key)
    await _write(connection, workflow, _sql(workflow).move, steps, actor, now)
    return Advanced(tuple(Moved(step.move.key, step.before, step.after) for step in steps), tuple(refused))


async def advance_one(connection: Connection, workflow: Workflow, move: Move, actor: Actor, now: datetime) -> Moved:
    """Make one move. Raises: the reason why it was refused; see `Refused`."""
    advanced = await advance(connection, workflow, [move], actor, now)
    for refused in advanced.refused:
        raise refused.error
    return advanced.moved[0]


async def record_created(
    connection: Connection, workflow: Workflow, moves: Sequence[Move], actor: Actor, now: datetime
) -> None:
    """Write the history of rows that were inserted in the caller's transaction, in the states that the table lists.

    The caller asks `next_state` before it inserts a row, because only the table says who may create one.
    """
    await _lock(connection, workflow, moves, actor)
    created = {t.command: t.after for t in workflow.transitions if t.before is None}
    steps = [_Step(move, None, created[move.command]) for move in moves]
    await _write(connection, workflow, _sql(workflow).create, steps, actor, now)


def next_state(transitions: Sequence[Transition], state: str | None, command: str, parts: Set[str]) -> str:
    """Return the state that `command` leads to.

    Raises: NotPossible when the table does not list the command for this state; Forbidden when it is for other parts.
    """
    for transition in transitions:
        if transition.before == state and transition.command == command:
            if parts.isdisjoint(transition.by):
                by = " or ".join(transition.by)
                raise Forbidden(f"{command} {_while(state)} is for {by}; {_possible(transitions, state, parts)}")
            return transition.after
    raise NotPossible(f"{command} is not possible {_while(state)}; {_possible(transitions, state, parts)}")


def states_before(transitions: Sequence[Transition], command: str) -> tuple[str, ...]:
    """List the states in which a command is possible for some part."""
    return tuple(t.before for t in transitions if t.command == command and t.before is not None)


@dataclass(frozen=True, slots=True)
class Tampered:
    """The first row of a chain that is `missing` or was `changed`; `no` counts from 1 within the pair of partners."""

    partner_ids: tuple[UUID, UUID]
    no: int
    problem: str


async def find_tampered(database: Database, actor: Actor) -> tuple[Tampered, ...]:
    """Verify all chains; return the first row of each that was tampered with. Administrator only.

    A role sees its own rows of a chain only, and the others would look as if they were missing.
    Raises: Forbidden.
    """
    require_administrator(actor, "verify history")
    async with database.reading() as reader:
        # Millions of rows take longer than a request may.
        await reader.fetch("set local statement_timeout = 0")
        rows = await reader.fetch_private(None, True, "select * from tampered_history()")
    return tuple(Tampered((first, second), no, problem) for first, second, no, problem in rows)


async def count_history(database: Database, actor: Actor) -> tuple[int, int]:
    """Count the chains of history, and the rows that they should have. Administrator only. Raises: Forbidden."""
    require_administrator(actor, "verify history")
    sql = "select count(*), coalesce(sum(length), 0)::bigint from workflow_chain where length > 0"
    [(chains, rows)] = await read_as(database, actor, sql)
    return chains, rows


def _while(state: str | None) -> str:
    return "before there is one" if state is None else f"while {state.lower()}"


def _possible(transitions: Sequence[Transition], state: str | None, parts: Set[str]) -> str:
    commands = [t.command for t in transitions if t.before == state and not parts.isdisjoint(t.by)]
    return "possible: " + (", ".join(commands) or "nothing")


@dataclass(frozen=True, slots=True)
class _Locked:
    """The state of a locked row, and the parts that the actor plays in it."""

    state: str
    parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Step:
    """A move that was judged possible."""

    move: Move
    before: str | None
    after: str


def _judge(workflow: Workflow, move: Move, row: _Locked | None, is_repeated: bool) -> _Step:
    if row is None:
        raise not_found(workflow.noun, move.key)
    if is_repeated:
        raise BadInput(f"{workflow.noun} {move.key} is named twice", "name each row once")
    if move.expected not in (None, row.state):
        possible = _possible(workflow.transitions, row.state, row.parts)
        states = f"expects {move.expected.lower()}, but it is {row.state.lower()}"
        raise NotPossible(f"{move.command} {states}; {possible}", _hint(workflow, move))
    try:
        after = next_state(workflow.transitions, row.state, move.command, row.parts)
    except HubError as error:
        error.hint = _hint(workflow, move)
        raise
    return _Step(move, row.state, after)


def _hint(workflow: Workflow, move: Move) -> str:
    return f"it is {workflow.noun} {move.key}"


async def _lock(connection: Connection, workflow: Workflow, moves: Sequence[Move], actor: Actor) -> dict[Key, _Locked]:
    """Lock rows that belong to the actor, and the chains of their pairs, until the transaction ends."""
    keys = [move.key for move in moves]
    rows = await connection.fetch(_sql(workflow).lock, keys, actor.is_administrator, actor.role_id)
    names = [name for name, _ in workflow.parts]
    return {key: _Locked(state, _parts(names, role_ids, actor)) for key, state, role_ids in rows}


def _parts(names: Sequence[str], role_ids: Sequence[int | None], actor: Actor) -> frozenset[str]:
    if actor.is_administrator:
        return frozenset({ADMINISTRATOR})
    return frozenset(name for name, role_id in zip(names, role_ids, strict=True) if role_id == actor.role_id)


async def _write(
    connection: Connection, workflow: Workflow, sql: str, steps: Sequence[_Step], actor: Actor, now: datetime
) -> None:
    """Run one of the two statements that write history.

    Every row is locked, so a step that wrote nothing is a fault of the caller, or of a policy, that must not be
    committed: the row would stand without its history.
    """
    if not steps:
        return
    rows = await connection.fetch(
        sql,
        [step.move.key for step in steps],
        [step.move.command for step in steps],
        [step.before for step in steps],
        [step.after for step in steps],
        [step.move.reason for step in steps],
        [step.move.content_hash for step in steps],
        now,
        actor.role_id,
        workflow.noun,
        *([step.move.values.get(name) for step in steps] for name, _ in workflow.given),
    )
    missing = {step.move.key for step in steps} - {row["key"] for row in rows}
    if missing:
        raise AssertionError(f"{len(missing)} steps of {workflow.noun} were not written, {missing.pop()} among them")


@dataclass(frozen=True, slots=True)
class _Sql:
    lock: str
    move: str
    create: str


@cache
def _sql(workflow: Workflow) -> _Sql:
    """Write the statements of a workflow, once. All text comes from the workflow's declaration."""
    first, second = (f"subject.{side}" for side in workflow.sides)
    key, state = f"subject.{workflow.key}", f"subject.{workflow.state}"
    columns = f"{first} as first_role_id, {second} as second_role_id, step.*"
    sets = ", ".join(filter(None, (f"{workflow.state} = step.to_state", workflow.assignments)))
    move = f"""
        update {workflow.table} as subject set {sets} from step
        where {key} = step.key and {state} = step.from_state returning {columns}
    """
    create = f"""
        select {columns} from {workflow.table} as subject
        join step on {key} = step.key and {state} = step.to_state
    """
    given = {
        "arrays": "".join(f", ${n}::{type_}[]" for n, (_, type_) in enumerate(workflow.given, 10)),
        "names": "".join(f", {name}" for name, _ in workflow.given),
    }
    return _Sql(
        lock=_LOCK.format(
            table=workflow.table,
            key=key,
            key_type=workflow.key_type,
            state=state,
            first=first,
            second=second,
            parts=", ".join(role_id for _, role_id in workflow.parts),
        ),
        move=_HISTORY.format(key_type=workflow.key_type, **given, written=move),
        create=_HISTORY.format(key_type=workflow.key_type, **given, written=create),
    )


#: An actor for which a row is neither its own nor visible finds nothing: both look the same.
_LOCK: Final = """
with locked as materialized (
    select {key} as key, {state} as state, array[{parts}]::integer[] as parts,
        {first} as first_role_id, {second} as second_role_id
    from {table} as subject
    where {key} = any($1::{key_type}[]) and ($2::boolean or $3::integer in ({first}, {second}))
    order by {key} for no key update
),
chained as (
    insert into workflow_chain (first_partner_id, second_partner_id, length, hash)
    select distinct
        least(one.partner_id, other.partner_id) as first_partner_id,
        greatest(one.partner_id, other.partner_id) as second_partner_id, 0, ''::bytea
    from locked
    join partner_role as one on one.id = first_role_id
    join partner_role as other on other.id = second_role_id
    order by first_partner_id, second_partner_id
    on conflict (first_partner_id, second_partner_id) do update set length = workflow_chain.length
)
select key, state, parts from locked
"""

_HISTORY: Final = """
with step as materialized (
    select step.*, $7::timestamptz as at, $8::integer as actor_role_id
    from unnest($1::{key_type}[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[]{arrays})
        with ordinality as step (key, command, from_state, to_state, reason, content_hash{names}, place)
),
written as ({written}),
numbered as (
    select written.*, $9::text as subject, key::text as subject_id, chain.first_partner_id, chain.second_partner_id,
        chain.hash as head, chain.length + row_number() over (
            partition by chain.first_partner_id, chain.second_partner_id order by place
        ) as no
    from written
    join partner_role as one on one.id = first_role_id
    join partner_role as other on other.id = second_role_id
    join workflow_chain as chain
        on chain.first_partner_id = least(one.partner_id, other.partner_id)
        and chain.second_partner_id = greatest(one.partner_id, other.partner_id)
),
hashed as (
    select *, chain_hash(head, history_content(
        first_partner_id, second_partner_id, no, subject, subject_id, first_role_id, second_role_id, at, actor_role_id,
        command, from_state, to_state, reason, content_hash
    )) over (partition by first_partner_id, second_partner_id order by no rows unbounded preceding) as hash
    from numbered
),
linked as (
    select *, coalesce(lag(hash) over (partition by first_partner_id, second_partner_id order by no), head) as prev_hash
    from hashed
),
appended as (
    insert into workflow_history (
        first_partner_id, second_partner_id, no, subject, subject_id, first_role_id, second_role_id, at, actor_role_id,
        command, from_state, to_state, reason, content_hash, prev_hash, hash
    )
    select first_partner_id, second_partner_id, no, subject, subject_id, first_role_id, second_role_id, at,
        actor_role_id, command, from_state, to_state, reason, content_hash, prev_hash, hash
    from linked
),
extended as (
    update workflow_chain as chain set length = last.no, hash = last.hash
    from (
        select distinct on (first_partner_id, second_partner_id) first_partner_id, second_partner_id, no, hash
        from linked order by first_partner_id, second_partner_id, no desc
    ) as last
    where chain.first_partner_id = last.first_partner_id and chain.second_partner_id = last.second_partner_id
)
select key from written
"""
