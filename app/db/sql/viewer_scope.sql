create or replace view operator_sight_in_force as
select 0 as role_id, no as operator_no from operator where open and not suspended
union
select role_id, no from operator where role_id is not null and not suspended
union
select contract_in_force.from_role_id, operator.no from contract_in_force
join operator on operator.role_id = contract_in_force.to_role_id
union
select with_provider.from_role_id, operator.no from contract_in_force as with_provider
join partner_role as viewer on viewer.id = with_provider.from_role_id
    and viewer.role = 'NSP' and viewer.revoked_at is null
join partner_role as provider on provider.id = with_provider.to_role_id and provider.role = 'EVSP'
join contract_in_force as with_operator on with_operator.from_role_id = provider.id
join operator on operator.role_id = with_operator.to_role_id;

create or replace view parking_sight_in_force as
select id as role_id, party_id from partner_role where role = 'PSO' and revoked_at is null
union
select contract_in_force.from_role_id, held.party_id from contract_in_force
join partner_role as held on held.id = contract_in_force.to_role_id and held.role = 'PSO' and held.revoked_at is null;

-- Rows of operators' sight name no entity but all operators that came or went: a register opens hundreds at once, and
-- readers go through the EVSEs of all that a row names together.
create or replace function bring_sights(role_ids integer[]) returns void
language plpgsql security definer set search_path = public
as $$
begin
    with wanted as materialized (
        select role_id, operator_no from operator_sight_in_force where role_ids is null or role_id = any(role_ids)
    ), begun as (
        insert into operator_sight select role_id, operator_no from wanted
        where not exists (
            select from operator_sight as sight where (sight.role_id, sight.operator_no) = (wanted.role_id, wanted.operator_no)
        )
        returning role_id, operator_no, false as existed
    ), ended as (
        delete from operator_sight as sight where (role_ids is null or role_id = any(role_ids))
        and not exists (
            select from wanted where (wanted.role_id, wanted.operator_no) = (sight.role_id, sight.operator_no)
        )
        returning role_id, operator_no, true as existed
    )
    insert into change (kind, entity_id, operator_nos, role_id, existed)
    select 'SIGHT', '', array_agg(operator_no order by operator_no), nullif(role_id, 0), existed
    from (select * from begun union all select * from ended) as moved
    group by role_id, existed order by role_id, existed;
    with wanted as materialized (
        select role_id, party_id from parking_sight_in_force where role_ids is null or role_id = any(role_ids)
    ), begun as (
        insert into parking_sight select role_id, party_id from wanted
        where not exists (
            select from parking_sight as sight where (sight.role_id, sight.party_id) = (wanted.role_id, wanted.party_id)
        )
        returning role_id, party_id, false as existed
    ), ended as (
        delete from parking_sight as sight where (role_ids is null or role_id = any(role_ids))
        and not exists (
            select from wanted where (wanted.role_id, wanted.party_id) = (sight.role_id, sight.party_id)
        )
        returning role_id, party_id, true as existed
    )
    insert into change (kind, entity_id, role_id, existed)
    select 'SIGHT', party_id, role_id, existed from (select * from begun union all select * from ended) as moved
    order by role_id, party_id;
end
$$;

create or replace function lock_sights() returns void language sql
as $$ select pg_advisory_xact_lock(hashtext('ochub.sight')) $$;

-- Whose sight hangs on some roles: theirs, and for a provider that of the NSPs that see through it.
create or replace function sighted_through(role_ids integer[]) returns integer[]
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

-- At the end of a transaction: it holds its other locks by then, so nobody waits for it crosswise.
create or replace function settle_sights() returns trigger
language plpgsql security definer set search_path = public
as $$
declare
    touched integer[];
    widely integer[];
begin
    with settled as (delete from sight_due returning role_id, wide)
    select array_agg(distinct role_id), coalesce(array_agg(distinct role_id) filter (where wide), '{}')
    into touched, widely from settled;
    if touched is not null then
        perform lock_sights();
        touched := touched || contractors_of(widely);
        perform bring_sights(sighted_through(touched));
    end if;
    return null;
end
$$;

create or replace function contract_moves_sights() returns trigger
language plpgsql security definer set search_path = public
as $$
declare
    moved contract := coalesce(new, old);
begin
    insert into sight_due values (moved.first_role_id, false), (moved.second_role_id, false);
    return null;
end
$$;

create or replace function role_moves_sights() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    insert into sight_due values ((coalesce(new, old)).id, true);
    return null;
end
$$;

create or replace function partner_moves_sights() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    insert into sight_due select id, true from partner_role where partner_id = new.id;
    return null;
end
$$;

create or replace function operator_moves_sights() returns trigger
language plpgsql security definer set search_path = public
as $$
begin
    insert into sight_due select 0, false union all
    select role_id, true from (values (old.role_id), (new.role_id)) as claimed (role_id) where role_id is not null;
    return null;
end
$$;

-- Contracts come into force, and cease, by the clock. For what began or ended since an instant; null: look at everything.
create or replace function refresh_sights(since timestamptz) returns void
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
    perform lock_sights();
    perform bring_sights(case when since is not null then sighted_through(touched) end);
end
$$;

drop trigger if exists settle on sight_due;
create constraint trigger settle after insert on sight_due
    deferrable initially deferred for each row execute function settle_sights();
create or replace trigger move_sights_inserted after insert on contract
    for each row when (new.status = 'ACTIVE') execute function contract_moves_sights();
create or replace trigger move_sights_updated after update on contract for each row
    when ((old.status, old.valid_from, old.valid_until) is distinct from (new.status, new.valid_from, new.valid_until))
    execute function contract_moves_sights();
create or replace trigger move_sights_deleted after delete on contract
    for each row execute function contract_moves_sights();
create or replace trigger move_sights_inserted after insert on partner_role
    for each row execute function role_moves_sights();
create or replace trigger move_sights_updated after update on partner_role for each row
    when ((old.role, old.party_id, old.revoked_at) is distinct from (new.role, new.party_id, new.revoked_at))
    execute function role_moves_sights();
create or replace trigger move_sights_deleted after delete on partner_role
    for each row execute function role_moves_sights();
create or replace trigger move_sights_updated after update of suspended_at on partner
    for each row when (old.suspended_at is distinct from new.suspended_at) execute function partner_moves_sights();
create or replace trigger move_sights_inserted after insert on operator
    for each row when (new.open or new.role_id is not null) execute function operator_moves_sights();
create or replace trigger move_sights_updated after update on operator for each row
    when ((old.role_id, old.open, old.suspended) is distinct from (new.role_id, new.open, new.suspended))
    execute function operator_moves_sights();
