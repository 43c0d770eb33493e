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
    select viewer.id, 'OPERATOR', operator.no, least(with_provider.valid_until, with_operator.valid_until)
    from partner_role as viewer
    join contract_in_force as with_provider on with_provider.from_role_id = viewer.id
    join partner_role as provider on provider.id = with_provider.to_role_id and provider.role = 'EVSP'
    join contract_in_force as with_operator on with_operator.from_role_id = provider.id
    join operator on operator.role_id = with_operator.to_role_id
    where viewer.role = 'NSP' and viewer.revoked_at is null
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
-- Joins run as the view writes them: what the planner knows of contracts is out of date in the transaction that makes
-- thousands of them, and then it walks all for each role.
create or replace function bring_viewer_scope(role_ids integer[]) returns void
language plpgsql security definer set search_path = public set join_collapse_limit = 1
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

-- First the tables, which a log that is begun again locks before this: no two wait for each other.
create or replace function lock_viewer_scope() returns void language plpgsql
as $$
begin
    lock table only change, only viewer_scope in row exclusive mode;
    perform pg_advisory_xact_lock(hashtext('ochub.viewer_scope'));
end
$$;

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
    with settled as (delete from viewer_scope_due returning role_ids, wide)
    select array_agg(distinct role_id), coalesce(array_agg(distinct role_id) filter (where wide), '{}')
    into touched, widely from settled cross join unnest(role_ids) as role_id;
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

-- A statement leaves one row, however many rows it changed: every row left is one more event when the transaction ends.
create or replace function note_viewer_scope(role_ids integer[], wide boolean) returns void
language sql security definer set search_path = public
as $$ insert into viewer_scope_due select role_ids, wide where role_ids <> '{}' $$;

create or replace function contracts_moved() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    perform note_viewer_scope(array(
        select distinct unnest(array[first_role_id, second_role_id]) from moved where status = 'ACTIVE' or tg_op = 'DELETE'
    ), false);
    return null;
end
$$;

create or replace function contracts_updated() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    perform note_viewer_scope(array(
        select distinct unnest(array[fresh.first_role_id, fresh.second_role_id])
        from stale join fresh using (id)
        where (stale.status, stale.valid_from, stale.valid_until)
            is distinct from (fresh.status, fresh.valid_from, fresh.valid_until)
    ), false);
    return null;
end
$$;

create or replace function roles_moved() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    perform note_viewer_scope(array(select id from moved), true);
    return null;
end
$$;

create or replace function roles_updated() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    perform note_viewer_scope(array(
        select id from stale join fresh using (id)
        where (stale.role, stale.party_id, stale.revoked_at)
            is distinct from (fresh.role, fresh.party_id, fresh.revoked_at)
    ), true);
    return null;
end
$$;

create or replace function partners_updated() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    perform note_viewer_scope(array(
        select partner_role.id
        from stale join fresh using (id) join partner_role on partner_role.partner_id = fresh.id
        where stale.suspended_at is distinct from fresh.suspended_at
    ), true);
    return null;
end
$$;

create or replace function operators_inserted() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    perform note_viewer_scope(array(select 0 where exists (select from moved where open)), false);
    perform note_viewer_scope(array(select role_id from moved where role_id is not null), true);
    return null;
end
$$;

create or replace function operators_updated() returns trigger
language plpgsql security definer set search_path = public
as $$
declare
    claimed integer[] := array(
        select unnest(array[0, stale.role_id, fresh.role_id])
        from stale join fresh using (no)
        where (stale.role_id, stale.open, stale.suspended)
            is distinct from (fresh.role_id, fresh.open, fresh.suspended)
    );
begin
    perform note_viewer_scope(array(select distinct role_id from unnest(claimed) as role_id where role_id is not null), true);
    return null;
end
$$;

create or replace trigger move_scope_inserted after insert on contract
    referencing new table as moved for each statement execute function contracts_moved();
create or replace trigger move_scope_updated after update on contract
    referencing old table as stale new table as fresh for each statement execute function contracts_updated();
create or replace trigger move_scope_deleted after delete on contract
    referencing old table as moved for each statement execute function contracts_moved();
create or replace trigger move_scope_inserted after insert on partner_role
    referencing new table as moved for each statement execute function roles_moved();
create or replace trigger move_scope_updated after update on partner_role
    referencing old table as stale new table as fresh for each statement execute function roles_updated();
create or replace trigger move_scope_deleted after delete on partner_role
    referencing old table as moved for each statement execute function roles_moved();
create or replace trigger move_scope_updated after update on partner
    referencing old table as stale new table as fresh for each statement execute function partners_updated();
create or replace trigger move_scope_inserted after insert on operator
    referencing new table as moved for each statement execute function operators_inserted();
create or replace trigger move_scope_updated after update on operator
    referencing old table as stale new table as fresh for each statement execute function operators_updated();

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
