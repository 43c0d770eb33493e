-- Partitions one by one, each in a short transaction. A lock that is not given at once is asked for again later: whoever waits
-- for one here makes others wait behind it. All run with the owner's rights.

drop function make_partitions(regclass, integer, integer);
drop function drop_partitions(regclass, integer, timestamptz);

-- The n-th partition from the present one on. Made beside the table and attached: that holds up nobody who writes. Where the
-- partition by default has rows of these days already, they stay there.

create function make_partition(partitioned regclass, days integer, n integer) returns boolean
language plpgsql security definer set search_path = public set lock_timeout = '200ms' set timezone = 'UTC'
as $$
declare
    today date := (now() at time zone 'UTC')::date;
    day date := date '1970-01-01' + ((today - date '1970-01-01') / days + n) * days;
    name text := format('%s_%s', partitioned, to_char(day, 'YYYYMMDD'));
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    execute format('create table %I (like %s including all excluding identity)', name, partitioned);
    execute format(
        'alter table %s attach partition %I for values from (%L) to (%L)',
        partitioned, name, day::timestamptz, (day + days)::timestamptz
    );
    return true;
exception when check_violation then
    return false;
end
$$;

-- Drop the oldest partition if all of it is old enough, else old rows of the partition by default. True: there may be more.

create function drop_partition(partitioned regclass, days integer, older_than timestamptz) returns boolean
language plpgsql security definer set search_path = public set lock_timeout = '200ms' set timezone = 'UTC'
as $$
declare
    part regclass := (
        select inhrelid::regclass from pg_inherits where inhparent = partitioned
        and inhrelid::regclass::text ~ '_\d{8}$'
        and (to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD') + days)::timestamptz <= older_than
        order by inhrelid::regclass::text limit 1
    );
begin
    if part is not null then
        if partitioned = 'change'::regclass then
            execute format(
                'update log_state set floor = greatest(floor, (select max(transaction) + 1 from %s))', part
            );
        end if;
        execute format('drop table %s', part);
    elsif partitioned = 'change'::regclass then
        with gone as (delete from change_default where at <= older_than returning transaction)
        update log_state set floor = greatest(floor, (select max(transaction) + 1 from gone))
        where exists (select from gone);
    else
        delete from status_history_default where recorded_at <= older_than;
    end if;
    return part is not null;
end
$$;

-- A dump restored into another cluster may bear numbers of transactions that have yet to come here. Such a log is begun
-- anew; its cursors have gone out of date already, with its epoch.

create function renew_log() returns boolean
language plpgsql security definer set search_path = public
as $$
declare
    coming bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
begin
    if not exists (select from log_state where floor > log_horizon())
    and not exists (select from change where transaction >= coming) then
        return false;
    end if;
    delete from change where transaction < log_horizon() or transaction >= coming;
    delete from log_mark;
    update log_state set floor = log_horizon();
    insert into log_mark values (clock_timestamp(), log_horizon());
    return true;
end
$$;

-- How old the oldest change is that readers cannot have yet, and the oldest transaction that has a number and so holds them
-- back, both in seconds. Of others' transactions the owner sees those that its rights let it see (pg_read_all_stats).

create function log_health() returns table (lag_s double precision, oldest_writer_s double precision)
language sql stable security definer set search_path = public
as $$
    select
        coalesce((
            select extract(epoch from clock_timestamp() - at) from change
            where transaction >= log_horizon() order by transaction limit 1
        ), 0)::double precision,
        coalesce((
            select max(extract(epoch from clock_timestamp() - begun)) from (
                select xact_start as begun from pg_stat_activity
                where backend_xid is not null and pid <> pg_backend_pid()
                union all
                select prepared from pg_prepared_xacts
            ) as writers
        ), 0)::double precision
$$;

revoke all on function make_partition(regclass, integer, integer), drop_partition(regclass, integer, timestamptz),
    renew_log(), log_health() from public;
grant execute on function make_partition(regclass, integer, integer), drop_partition(regclass, integer, timestamptz),
    renew_log(), log_health() to {runtime_role};
