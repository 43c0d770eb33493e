-- What each role may see, as contracts, roles and operators say now. Role 0: everybody. The administrator sees everything
-- and has no rows. `viewer_scope` follows this view, in the transaction that changes it or, where the clock does, within
-- seconds; reads ask the table, so that lists, log and streams cannot disagree.
create or replace view viewer_scope_in_force as
with path (role_id, kind, subject, valid_until) as (
    select 0, 'OPERATOR', no, null::timestamptz from operator where open and not suspended
    union all
    select role_id, 'OPERATOR', no, null from operator where role_id is not null and not suspended
    union all
    select from_role_id, 'OPERATOR', operator.no, valid_until
    from contract_in_force join operator on operator.role_id = to_role_id
    union all
    -- An NSP sees the operators of the EVSPs it has contracts with.
    select with_provider.from_role_id, 'OPERATOR', operator.no,
        least(with_provider.valid_until, with_operator.valid_until)
    from contract_in_force as with_provider
    join partner_role as viewer on viewer.id = with_provider.from_role_id
        and viewer.role = 'NSP' and viewer.revoked_at is null
    join partner_role as provider on provider.id = with_provider.to_role_id and provider.role = 'EVSP'
    join contract_in_force as with_operator on with_operator.from_role_id = provider.id
    join operator on operator.role_id = with_operator.to_role_id
    union all
    select id, role, id, null from partner_role where role in ('PSO', 'EVSP') and revoked_at is null
    union all
    select from_role_id, held.role, held.id, valid_until
    from contract_in_force
    join partner_role as held on held.id = to_role_id and held.role in ('PSO', 'EVSP') and held.revoked_at is null
)
-- Of several paths the one that lasts longest counts.
select role_id, kind, subject, case when bool_and(valid_until is not null) then max(valid_until) end as valid_until
from path group by role_id, kind, subject;

-- Bring the rows of some roles (null: of all) to what is in force, and log which roles' rows changed. The caller holds the
-- lock: of two transactions that change different contracts of one chain the second must see what the first did.
create or replace function bring_viewer_scope(role_ids integer[]) returns void
language plpgsql security definer set search_path = public
as $$
declare
    present bigint := pg_current_xact_id()::text::bigint;
    lapsed integer[];
begin
    -- What the clock ended does not go on in the same row: cursors made in between would say that it was in view.
    with moved as (
        update viewer_scope set ended = present, ended_at = now(), ended_snapshot = pg_current_snapshot()::text
        where ended is null and valid_until <= now() and (role_ids is null or role_id = any(role_ids))
        returning role_id
    )
    select coalesce(array_agg(role_id), '{}') into lapsed from moved;
    with wanted as materialized (
        select * from viewer_scope_in_force where role_ids is null or role_id = any(role_ids)
    ), begun as (
        insert into viewer_scope (role_id, kind, subject, valid_until, began)
        select role_id, kind, subject, valid_until, present from wanted
        where not exists (
            select from viewer_scope as scope where scope.ended is null
            and (scope.role_id, scope.kind, scope.subject) = (wanted.role_id, wanted.kind, wanted.subject)
        )
        returning role_id
    ), ended as (
        update viewer_scope as scope
        set ended = present, ended_at = now(), ended_snapshot = pg_current_snapshot()::text
        where ended is null and (role_ids is null or role_id = any(role_ids))
        and not exists (
            select from wanted
            where (scope.role_id, scope.kind, scope.subject) = (wanted.role_id, wanted.kind, wanted.subject)
        )
        returning role_id
    ), prolonged as (
        update viewer_scope as scope set valid_until = wanted.valid_until from wanted
        where scope.ended is null
        and (scope.role_id, scope.kind, scope.subject) = (wanted.role_id, wanted.kind, wanted.subject)
        and scope.valid_until is distinct from wanted.valid_until
        returning scope.role_id
    )
    insert into change (kind, entity_id, role_ids)
    select 'VIEWER_SCOPE', '', array_agg(distinct role_id)
    from (
        select * from begun union all select * from ended union all select * from prolonged union all
        select unnest(lapsed)
    ) as moved
    having count(*) > 0;
end
$$;

create or replace function lock_viewer_scope() returns void language sql
as $$ select pg_advisory_xact_lock(hashtext('ochub.viewer_scope')) $$;

-- The roles whose scope depends on some roles: these, and for an EVSP the NSPs that see its operators.
create or replace function dependent_roles(role_ids integer[]) returns integer[]
language sql stable security definer set search_path = public
as $$
    select array(
        select unnest(role_ids)
        union
        select viewer.id from contract
        cross join lateral (values
            (first_role_id, second_role_id), (second_role_id, first_role_id)
        ) as side (provider_id, viewer_id)
        join partner_role as provider on provider.id = provider_id and provider.role = 'EVSP'
        join partner_role as viewer on viewer.id = viewer_id and viewer.role = 'NSP'
        where provider_id = any(role_ids)
    )
$$;

create or replace function contractors_of(role_ids integer[]) returns integer[]
language sql stable security definer set search_path = public
as $$
    select array(
        select second_role_id from contract where first_role_id = any(role_ids)
        union
        select first_role_id from contract where second_role_id = any(role_ids)
    )
$$;

-- Runs at the end of a transaction, which holds its other locks by then: no two wait for each other.
create or replace function settle_viewer_scope() returns trigger
language plpgsql security definer set search_path = public
as $$
declare
    touched integer[];
    widely integer[];
begin
    with settled as (delete from viewer_scope_due returning role_id, wide)
    select array_agg(distinct role_id), coalesce(array_agg(distinct role_id) filter (where wide), '{}')
    into touched, widely from settled;
    if touched is not null then
        perform lock_viewer_scope();
        touched := touched || contractors_of(widely);
        perform bring_viewer_scope(dependent_roles(touched));
    end if;
    return null;
end
$$;

drop trigger if exists settle on viewer_scope_due;
create constraint trigger settle after insert on viewer_scope_due
    deferrable initially deferred for each row execute function settle_viewer_scope();

create or replace function contract_moves_scope() returns trigger
language plpgsql security definer set search_path = public
as $$
declare
    moved contract := coalesce(new, old);
begin
    insert into viewer_scope_due values (moved.first_role_id, false), (moved.second_role_id, false);
    return null;
end
$$;

create or replace function role_moves_scope() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    insert into viewer_scope_due values ((coalesce(new, old)).id, true);
    return null;
end
$$;

create or replace function partner_moves_scope() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    insert into viewer_scope_due select id, true from partner_role where partner_id = new.id;
    return null;
end
$$;

create or replace function operator_moves_scope() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    insert into viewer_scope_due select 0, false union all
    select role_id, true from (values (old.role_id), (new.role_id)) as claimed (role_id) where role_id is not null;
    return null;
end
$$;

create or replace trigger move_scope_inserted after insert on contract
    for each row when (new.status = 'ACTIVE') execute function contract_moves_scope();
create or replace trigger move_scope_updated after update on contract for each row
    when ((old.status, old.valid_from, old.valid_until) is distinct from (new.status, new.valid_from, new.valid_until))
    execute function contract_moves_scope();
create or replace trigger move_scope_deleted after delete on contract
    for each row execute function contract_moves_scope();
create or replace trigger move_scope_inserted after insert on partner_role
    for each row execute function role_moves_scope();
create or replace trigger move_scope_updated after update on partner_role for each row
    when ((old.role, old.party_id, old.revoked_at) is distinct from (new.role, new.party_id, new.revoked_at))
    execute function role_moves_scope();
create or replace trigger move_scope_deleted after delete on partner_role
    for each row execute function role_moves_scope();
create or replace trigger move_scope_updated after update of suspended_at on partner
    for each row when (old.suspended_at is distinct from new.suspended_at) execute function partner_moves_scope();
create or replace trigger move_scope_inserted after insert on operator
    for each row when (new.open or new.role_id is not null) execute function operator_moves_scope();
create or replace trigger move_scope_updated after update on operator for each row
    when ((old.role_id, old.open, old.suspended) is distinct from (new.role_id, new.open, new.suspended))
    execute function operator_moves_scope();

-- Contracts begin and end by the clock. Refresh the scopes of those that did so since an instant; null: refresh all.
create or replace function refresh_viewer_scope(since timestamptz) returns void
language plpgsql security definer set search_path = public
as $$
declare
    touched integer[];
begin
    if since is not null then
        touched := array(
            select unnest(array[first_role_id, second_role_id]) from contract
            where status = 'ACTIVE' and (valid_from between since and now() or valid_until between since and now())
        );
        if touched = '{}' then
            return;
        end if;
    end if;
    perform lock_viewer_scope();
    perform bring_viewer_scope(case when since is not null then dependent_roles(touched) end);
end
$$;

-- Delete rows that ended before every cursor that is still good.
create or replace function forget_viewer_scope(before timestamptz) returns void
language sql security definer set search_path = public
as $$ delete from viewer_scope where ended_at < before $$;
