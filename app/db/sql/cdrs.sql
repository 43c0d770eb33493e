-- CDRs and their contents belong to an operator and a provider, occupied times to the operator. Contents are never changed.
alter table cdr enable row level security;
drop policy if exists sides on cdr;
create policy sides on cdr using (
    (select hub_administrator())
    or operator_role_id = any(array(select hub_role())) or provider_role_id = any(array(select hub_role()))
);
alter table cdr_content enable row level security;
drop policy if exists sides on cdr_content;
create policy sides on cdr_content using (
    (select hub_administrator())
    or operator_role_id = any(array(select hub_role())) or provider_role_id = any(array(select hub_role()))
);
alter table cdr_occupancy enable row level security;
drop policy if exists own on cdr_occupancy;
create policy own on cdr_occupancy using (
    (select hub_administrator()) or operator_role_id = any(array(select hub_role()))
);
grant select, insert, update on cdr to {runtime_role};
grant select, insert on cdr_content to {runtime_role};
grant select, insert, update, delete on cdr_occupancy to {runtime_role};

create or replace function cdr_inserted() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'CDR', id::text, false, array[operator_role_id, provider_role_id] from fresh order by id;
    return null;
end
$$;
create or replace trigger log_inserted after insert on cdr
    referencing new table as fresh for each statement execute function cdr_inserted();

create or replace function cdr_updated() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'CDR', id::text, true, array[operator_role_id, provider_role_id] from fresh order by id;
    return null;
end
$$;
create or replace trigger log_updated after update on cdr
    referencing new table as fresh for each statement execute function cdr_updated();

-- The two roles of CDRs, with the owner's rights: a round of the stream serves all roles.
create or replace function cdr_sides(ids uuid[]) returns table (id text, role_ids integer[])
language sql stable security definer set search_path = public
as $$ select c.id::text, array[operator_role_id, provider_role_id] from cdr as c where c.id = any(ids) $$;

-- The places, from 1, of those times on EVSEs of the caller that overlap with a CDR, but for that with the key beside them and
-- for those that are freed. With the owner's rights: a role that held the party id before may have left CDRs.
create or replace function occupied_times(
    evse_ids text[], starts timestamptz[], ends timestamptz[], keys uuid[], freed uuid[]
) returns setof integer language sql stable security definer set search_path = public
as $$
    select asked.place::integer
    from unnest(evse_ids, starts, ends, keys) with ordinality as asked (evse_id, started_at, ended_at, key, place)
    where left(asked.evse_id, 5) = (
        select party_id from partner_role where id = hub_role() and role = 'EVSE_OPERATOR'
    )
    and exists (
        select from cdr_occupancy as occupied
        where occupied.place = hashtextextended(asked.evse_id, 0) and occupied.during && tstzrange(asked.started_at, asked.ended_at)
        and occupied.cdr_key is distinct from asked.key and occupied.cdr_key <> all(freed)
    )
$$;

-- The places, from 1, of those tokens that a provider has, or had until lately, for an operator that has or had a contract with
-- it. With the owner's rights: the operator reads no tokens of a contract that has ended, but may still bill its sessions.
create or replace function known_tokens(provider_role_ids integer[], token_keys text[], token_keys_160 text[])
returns setof integer language sql stable security definer set search_path = public
as $$
    select asked.place::integer
    from unnest(provider_role_ids, token_keys, token_keys_160) with ordinality
        as asked (provider_role_id, key, key_160, place)
    where asked.provider_role_id in (
        select case hub_role() when first_role_id then second_role_id else first_role_id end from contract
        where hub_role() in (first_role_id, second_role_id) and valid_from is not null
    )
    and (
        exists (
            select from authorisation as a
            where a.token_key in (asked.key, asked.key_160) and a.provider_role_id = asked.provider_role_id
        )
        or exists (
            select from authorisation as a
            where a.token_key_160 in (asked.key, asked.key_160) and a.provider_role_id = asked.provider_role_id
        )
    )
$$;

-- Create the partition of a month. Contents that the default partition has already stay there.
create or replace function make_month(partitioned regclass, month date) returns boolean
language plpgsql security definer set search_path = public set lock_timeout = '200ms'
as $$
declare
    name text := format('%s_%s', partitioned, to_char(month, 'YYYYMMDD'));
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    execute format('create table %I (like %s including all)', name, partitioned);
    execute format(
        'alter table %s attach partition %I for values from (%L) to (%L)',
        partitioned, name, month, month + interval '1 month'
    );
    return true;
exception when check_violation or duplicate_table or unique_violation or lock_not_available then
    return false;
end
$$;

-- This month and the next one; others are made when the first CDR of theirs comes.
create or replace function make_present_months() returns void language sql security definer set search_path = public
as $$
    select make_month('cdr_content', (date_trunc('month', now() at time zone 'UTC') + make_interval(months => n))::date)
    from generate_series(0, 1) as n
$$;
select make_present_months();

revoke all on function cdr_sides(uuid[]), make_month(regclass, date), make_present_months(), known_tokens(integer[], text[], text[]),
    occupied_times(text[], timestamptz[], timestamptz[], uuid[], uuid[]) from public;
grant execute on function cdr_sides(uuid[]), make_month(regclass, date), make_present_months(), known_tokens(integer[], text[], text[]),
    occupied_times(text[], timestamptz[], timestamptz[], uuid[], uuid[]) to {runtime_role};
