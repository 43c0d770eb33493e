-- Create the n-th partition from the present one on. It is created as a table and then attached, which delays no writer.
-- Rows of these days that the default partition has already stay there.
create or replace function make_partition(partitioned regclass, days integer, n integer) returns boolean
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
create or replace function drop_partition(partitioned regclass, days integer, older_than timestamptz) returns boolean
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
        execute format(
            'delete from %I where %I <= $1', partitioned || '_default',
            case when partitioned = 'status_history'::regclass then 'recorded_at' else 'at' end
        ) using older_than;
    end if;
    return part is not null;
end
$$;

-- A log of its own, partitions and a mark to begin with; the leader makes the next ones.
select renew_log();
select make_partition('change', 1, n) from generate_series(0, 3) as n;
select make_partition('status_history', 7, n) from generate_series(0, 1) as n;
select make_partition('authorisation_request', 7, n) from generate_series(0, 1) as n;
insert into log_mark select clock_timestamp(), log_position() where not exists (select from log_mark);
