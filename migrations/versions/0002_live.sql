-- Live status: one row for each EVSE and spot, born with it.

create table evse_status (
    evse_id text collate "C" not null,
    major text default 'UNKNOWN' not null,
    minor text,
    ttl timestamptz,
    at timestamptz,
    expires_at timestamptz,
    updated_at timestamptz,
    due timestamptz,
    blocked_until timestamptz,
    constraint evse_status_pkey primary key (evse_id),
    constraint evse_status_evse_id_fkey foreign key (evse_id) references evse (evse_id) on delete cascade,
    constraint evse_status_major_check check (major in ('AVAILABLE', 'NOT_AVAILABLE', 'UNKNOWN')),
    constraint evse_status_minor_check
        check (minor in ('AVAILABLE', 'RESERVED', 'CHARGING', 'BLOCKED', 'OUT_OF_ORDER')),
    constraint evse_status_allowed_pair_check check (
        case major when 'UNKNOWN' then minor is null
        when 'AVAILABLE' then minor is null or minor in ('AVAILABLE', 'RESERVED')
        else minor is null or minor <> 'AVAILABLE' end
    ),
    constraint evse_status_said_whole_check
        check ((at is null) = (expires_at is null) and (at is null) = (updated_at is null))
) with (fillfactor = 50);

create table parking_status (
    parking_id text collate "C" not null,
    status text default 'UNKNOWN' not null,
    ttl timestamptz,
    at timestamptz,
    expires_at timestamptz,
    updated_at timestamptz,
    due timestamptz,
    by_pso boolean default false not null,
    constraint parking_status_pkey primary key (parking_id),
    constraint parking_status_parking_id_fkey
        foreign key (parking_id) references parking_spot (parking_id) on delete cascade,
    constraint parking_status_status_check check (status in ('AVAILABLE', 'NOT_AVAILABLE', 'UNKNOWN')),
    constraint parking_status_said_whole_check
        check ((at is null) = (expires_at is null) and (at is null) = (updated_at is null))
) with (fillfactor = 50);

insert into evse_status (evse_id) select evse_id from evse;
insert into parking_status (parking_id) select parking_id from parking_spot;

create table status_expiry (
    due timestamptz not null,
    kind text not null,
    entity_id text collate "C" not null,
    constraint status_expiry_pkey primary key (due, kind, entity_id)
);

create table status_history (
    evse_id text collate "C" not null,
    at timestamptz not null,
    major text not null,
    minor text,
    recorded_at timestamptz default now() not null,
    constraint status_history_major_check check (major in ('AVAILABLE', 'NOT_AVAILABLE', 'UNKNOWN')),
    constraint status_history_minor_check
        check (minor in ('AVAILABLE', 'RESERVED', 'CHARGING', 'BLOCKED', 'OUT_OF_ORDER'))
) partition by range (recorded_at);

create index status_history_evse_id_at_idx on status_history (evse_id, at);

-- The change log. A position is (transaction, id); transaction numbers are those of PostgreSQL, 64 bits wide.

create function transaction_number() returns bigint language sql volatile parallel unsafe
as $$ select pg_current_xact_id()::text::bigint $$;

-- All transactions below the horizon have ended: what they logged is complete, and visible to the statement that asks.

create function log_horizon() returns bigint language sql stable parallel safe
as $$ select pg_snapshot_xmin(pg_current_snapshot())::text::bigint $$;

create table change (
    transaction bigint default transaction_number() not null,
    id bigint generated always as identity not null,
    at timestamptz default clock_timestamp() not null,
    kind text not null,
    entity_id text collate "C" not null,
    existed boolean default true not null,
    operator_nos integer[],
    longitude double precision,
    latitude double precision,
    was_available boolean,
    role_id integer,
    constraint change_kind_check
        check (kind in ('EVSE', 'EVSE_STATUS', 'PARKING_SPOT', 'PARKING_STATUS', 'TARIFF', 'SIGHT'))
) partition by range (at);

create index change_transaction_id_idx on change (transaction, id);

create table log_state (
    salt uuid default gen_random_uuid() not null,
    floor bigint not null,
    constraint log_state_pkey primary key (salt)
);

insert into log_state (floor) select log_horizon();

-- A log is known by its cluster, the cluster's timeline, its database and its salt: whatever is restored, promoted or
-- copied has another name, and cursors of the old one are out of date. Runs with its owner's rights.

create function log_epoch() returns text language sql stable security definer set search_path = public
as $$
    select left(encode(sha256(concat_ws(' ',
        (select system_identifier from pg_control_system()), (select timeline_id from pg_control_checkpoint()),
        (select oid from pg_database where datname = current_database()), (select salt from log_state)
    )::bytea), 'hex'), 12)
$$;

-- Partitions by days, made ahead and dropped when they are old. The one by default holds what no other does: nothing is ever
-- refused because nobody made a partition. Run with the owner's rights: the runtime role owns nothing.

create table change_default partition of change default;
create table status_history_default partition of status_history default;

create function make_partitions(partitioned regclass, days integer, ahead integer) returns void
language plpgsql security definer set search_path = public
as $$
declare
    first_day date := date '1970-01-01' + ((current_date - date '1970-01-01') / days) * days;
    day date;
    name text;
begin
    for day in select first_day + n * days from generate_series(0, ahead) as n loop
        name := format('%s_%s', partitioned, to_char(day, 'YYYYMMDD'));
        if to_regclass(name) is null then
            execute format(
                'create table %I partition of %s for values from (%L) to (%L)',
                name, partitioned, day::timestamp at time zone 'UTC', (day + days)::timestamp at time zone 'UTC'
            );
        end if;
    end loop;
end
$$;

create function drop_partitions(partitioned regclass, days integer, older_than timestamptz) returns integer
language plpgsql security definer set search_path = public
as $$
declare
    dropped integer := 0;
    part regclass;
begin
    for part in
        select inhrelid::regclass from pg_inherits where inhparent = partitioned
        and inhrelid::regclass::text ~ '_\d{8}$'
        and (to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD') + days)::timestamp at time zone 'UTC' <= older_than
    loop
        if partitioned = 'change'::regclass then
            execute format(
                'update log_state set floor = greatest(floor, (select max(transaction) + 1 from %s))', part
            );
        end if;
        execute format('drop table %s', part);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;

select make_partitions('change', 1, 3), make_partitions('status_history', 7, 1);

-- When all spots of an EVSE are taken. Spots and links are locked or committed by whoever calls; the EVSE's row is locked
-- before its spots are read, so that of two who change different spots the second sees what the first did.

create function refresh_blocked(evse_ids text[], present timestamptz) returns void
language plpgsql volatile
as $$
begin
    perform from evse_status where evse_id = any(evse_ids) order by evse_id for no key update;
    with wanted as (
        select status.evse_id, status.major, status.expires_at, status.blocked_until, taken.until
        from evse_status as status
        cross join lateral (
            select case when bool_and(spot.status = 'NOT_AVAILABLE' and spot.expires_at > present)
                then min(spot.expires_at) end as until
            from evse_parking_spot as link join parking_status as spot using (parking_id)
            where link.evse_id = status.evse_id
        ) as taken
        where status.evse_id = any(evse_ids) and status.blocked_until is distinct from taken.until
    ), written as (
        update evse_status set blocked_until = wanted.until from wanted where evse_status.evse_id = wanted.evse_id
    )
    insert into change (kind, entity_id, was_available)
    select 'EVSE_STATUS', evse_id, not coalesce(blocked_until > present, false) from wanted
    where major = 'AVAILABLE' and expires_at > present
    and coalesce(blocked_until > present, false) <> coalesce(until > present, false);
end
$$;

-- Static rows are written by many statements; triggers log them all, once per statement.

create function evse_inserted() returns trigger language plpgsql as $$
begin
    insert into evse_status (evse_id) select evse_id from fresh order by evse_id;
    insert into change (kind, entity_id, existed) select 'EVSE', evse_id, false from fresh order by evse_id;
    return null;
end
$$;

create function evse_updated() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude)
    select 'EVSE', fresh.evse_id, array[stale.operator_no], stale.longitude, stale.latitude
    from fresh join stale using (evse_id)
    where fresh.content_hash <> stale.content_hash order by fresh.evse_id;
    return null;
end
$$;

create function evse_deleted() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude)
    select 'EVSE', evse_id, array[operator_no], longitude, latitude from stale order by evse_id;
    return null;
end
$$;

create trigger log_inserted after insert on evse
    referencing new table as fresh for each statement execute function evse_inserted();
create trigger log_updated after update on evse
    referencing old table as stale new table as fresh for each statement execute function evse_updated();
create trigger log_deleted after delete on evse
    referencing old table as stale for each statement execute function evse_deleted();

create function parking_spot_inserted() returns trigger language plpgsql as $$
begin
    insert into parking_status (parking_id) select parking_id from fresh order by parking_id;
    insert into change (kind, entity_id, existed)
    select 'PARKING_SPOT', parking_id, false from fresh order by parking_id;
    return null;
end
$$;

create function parking_spot_updated() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude)
    select 'PARKING_SPOT', fresh.parking_id, stale.operator_nos, stale.longitude, stale.latitude
    from fresh join stale using (parking_id)
    where (fresh.content_hash, fresh.operator_nos, fresh.longitude, fresh.latitude)
        is distinct from (stale.content_hash, stale.operator_nos, stale.longitude, stale.latitude)
    order by fresh.parking_id;
    return null;
end
$$;

create function parking_spot_deleted() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude)
    select 'PARKING_SPOT', parking_id, operator_nos, longitude, latitude from stale order by parking_id;
    return null;
end
$$;

create trigger log_inserted after insert on parking_spot
    referencing new table as fresh for each statement execute function parking_spot_inserted();
create trigger log_updated after update on parking_spot
    referencing old table as stale new table as fresh for each statement execute function parking_spot_updated();
create trigger log_deleted after delete on parking_spot
    referencing old table as stale for each statement execute function parking_spot_deleted();

create function links_changed() returns trigger language plpgsql as $$
begin
    perform refresh_blocked((select array_agg(distinct evse_id) from touched), now());
    return null;
end
$$;

-- Not when the links go with their EVSE, one statement for each.
create trigger block_linked after insert on evse_parking_spot
    referencing new table as touched for each statement execute function links_changed();
create trigger block_unlinked after delete on evse_parking_spot
    referencing old table as touched for each statement when (pg_trigger_depth() = 0)
    execute function links_changed();

revoke all on function make_partitions(regclass, integer, integer),
    drop_partitions(regclass, integer, timestamptz), log_epoch() from public;
grant execute on function make_partitions(regclass, integer, integer),
    drop_partitions(regclass, integer, timestamptz), log_epoch() to {runtime_role};
grant select, insert, update, delete on evse_status, parking_status, status_expiry to {runtime_role};
grant select, insert on status_history, change to {runtime_role};
grant select on log_state to {runtime_role};
