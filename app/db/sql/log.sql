-- All transactions below the horizon have ended: what they logged is complete, and visible to the statement that asks.
create or replace function log_horizon() returns bigint language sql stable parallel safe
as $$ select pg_snapshot_xmin(pg_current_snapshot())::text::bigint $$;

-- A dump restored into another cluster may bear numbers of transactions that have yet to come here. Such a log is begun
-- anew; its cursors have gone out of date already, with its epoch. What a statement sees is below its own snapshot's end.
create or replace function log_end() returns bigint language sql stable parallel safe
as $$ select pg_snapshot_xmax(pg_current_snapshot())::text::bigint $$;

-- Where a reader goes on that has seen what this statement sees: after the last row that is complete. Not at the horizon: a
-- server that crashes gives numbers again that it gave to transactions which left nothing behind. Once for each statement.
create or replace function log_head() returns bigint language plpgsql stable parallel safe
as $$
begin
    return coalesce(
        (select transaction + 1 from change where transaction < log_horizon() order by transaction desc limit 1),
        (select least(floor, log_horizon()) from log_state)
    );
end
$$;

-- The timeline as the server writes it now: what the control file says is that of the last checkpoint.
create or replace function log_epoch() returns text language sql stable security definer set search_path = public
as $$
    select left(encode(sha256(concat_ws(' ',
        (select system_identifier from pg_control_system()),
        case when pg_is_in_recovery() then lpad(to_hex((select timeline_id from pg_control_checkpoint())), 8, '0')
            else lower(left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)) end,
        (select oid from pg_database where datname = current_database()), (select salt from log_state)
    )::bytea), 'hex'), 12)
$$;

-- A dump restored into another cluster may bear numbers of transactions that have yet to come here. Such a log is begun
-- anew; its cursors have gone out of date already, with its epoch.
create or replace function renew_log() returns boolean
language plpgsql security definer set search_path = public
as $$
begin
    if not exists (select from log_state where floor > log_horizon())
    and not exists (select from change where transaction >= log_end()) then
        return false;
    end if;
    delete from change where transaction < log_horizon() or transaction >= log_end();
    delete from log_mark;
    update log_state set floor = log_horizon();
    insert into log_mark values (clock_timestamp(), log_horizon());
    return true;
end
$$;

-- How old the oldest change is that readers cannot have yet, and the oldest transaction that has a number and so holds them
-- back, both in seconds. Of others' transactions the owner sees those that its rights let it see (pg_read_all_stats).
create or replace function log_health() returns table (lag_s double precision, oldest_writer_s double precision)
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
