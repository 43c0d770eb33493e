-- The change log. A reader's position is the snapshot that it read in: `xmax`, one more than the highest transaction with
-- rows in the log that the snapshot shows, and `xip`, the transactions below it that had not ended.

-- One more than the highest transaction whose rows the statement sees. Never the server's next number: a crashed server
-- gives that again. Rows of transactions in progress are not visited: there may be a million of them at the end.
create or replace function log_top(snapshot pg_snapshot) returns bigint language plpgsql stable
as $$
declare
    above bigint := pg_snapshot_xmax(snapshot)::text::bigint;
    running bigint;
    found bigint;
begin
    for running in select member::text::bigint as number from pg_snapshot_xip(snapshot) as member order by number desc loop
        select transaction into found from change
        where transaction > running and transaction < above order by transaction desc limit 1;
        exit when found is not null;
        above := running;
    end loop;
    if found is null then
        select transaction into found from change where transaction < above order by transaction desc limit 1;
    end if;
    return greatest(found + 1, (select floor from log_state));
end
$$;

-- The timeline that the server writes or replays, and how far it has come. On a standby both may be a little behind what
-- was replayed, which makes cursors expire sooner than they must, never later.
create or replace function wal_position(out timeline bigint, out lsn bigint)
language plpgsql stable security definer set search_path = public
as $$
begin
    if pg_is_in_recovery() then
        timeline := greatest(
            (select timeline_id from pg_control_checkpoint()), (select min_recovery_end_timeline from pg_control_recovery())
        );
        lsn := pg_last_wal_replay_lsn() - '0/0'::pg_lsn;
    else
        timeline := ('x' || lpad(left(pg_walfile_name(pg_current_wal_flush_lsn()), 8), 16, '0'))::bit(64)::bigint;
        lsn := pg_current_wal_flush_lsn() - '0/0'::pg_lsn;
    end if;
end
$$;

-- The position of the statement that asks: epoch and key of the log, timeline, WAL position, microseconds since 1970, floor, xmax and xip.
-- The WAL position is read after the snapshot was taken: every commit that the snapshot shows lies before it.
-- A standby does not know which transactions are in progress: there the position ends before the first of them.
create or replace function log_position() returns text language plpgsql stable
as $$
declare
    snapshot pg_snapshot := pg_current_snapshot();
    top bigint := log_top(snapshot);
    running text := '';
    wal record;
    log log_state;
begin
    select * into log from log_state;
    if pg_is_in_recovery() then
        top := least(top, pg_snapshot_xmin(snapshot)::text::bigint);
    else
        select coalesce(string_agg(member::text, ',' order by member::text::bigint), '') into running
        from pg_snapshot_xip(snapshot) as member where member::text::bigint < top;
    end if;
    wal := wal_position();
    return concat_ws(
        ' ', log.epoch || ':' || encode(log.key, 'hex'), wal.timeline, wal.lsn, (extract(epoch from now()) * 1000000)::bigint, log.floor, top, running
    );
end
$$;

-- The WAL position at which a timeline was left for a later one, by the history file of the present timeline; null where
-- the file does not state it or must not be read.
create or replace function timeline_left_at(left_timeline bigint) returns bigint
language plpgsql stable security definer set search_path = public
as $$
declare
    present bigint := (wal_position()).timeline;
    history text;
begin
    -- The short form that takes `missing_ok` came with PostgreSQL 16.
    history := pg_read_file(format('pg_wal/%s.history', upper(lpad(to_hex(present), 8, '0'))), 0, 1 << 20, true);
    return (
        select (split_part(line, E'\t', 2))::pg_lsn - '0/0'::pg_lsn
        from regexp_split_to_table(history, E'\n') as line
        where split_part(line, E'\t', 1) = left_timeline::text limit 1
    );
exception when insufficient_privilege or undefined_file then
    return null;
end
$$;

-- The next rows between two snapshots, given as ranges of transactions (`lows` inclusive, `highs` exclusive) that hold no
-- transaction in progress; behind (`after_transaction`, `after_id`), of some kinds, without EVSEs of some parties. At most
-- `most` rows; ends after `look` rows too, with a row of its own without a kind that says how far that was.
create or replace function log_rows(
    lows bigint[], highs bigint[], after_transaction bigint, after_id bigint, kinds text[], without_parties text[],
    most integer, look integer
) returns setof change language plpgsql stable rows 1000
as $$
declare
    gap integer;
    seen change;
    given integer := 0;
    looked integer := 0;
begin
    for gap in 1 .. coalesce(cardinality(lows), 0) loop
        for seen in
            select * from change where transaction >= lows[gap] and transaction < highs[gap]
            and (transaction, id) > (after_transaction, after_id) order by transaction, id
        loop
            looked := looked + 1;
            if seen.kind = any(kinds)
            and (seen.kind not in ('EVSE', 'EVSE_STATUS') or left(seen.entity_id, 5) <> all(without_parties)) then
                given := given + 1;
                return next seen;
                if given = most then
                    return;
                end if;
            elsif looked >= look then
                seen.kind := null;
                return next seen;
                return;
            end if;
        end loop;
    end loop;
end
$$;

-- What a renewed log cannot tell: which contracts of spots began or ended while nothing was written. In a transaction of its
-- own, because it locks rows of spots, and `renew_log` holds the log.
create or replace function renew_spot_contracts() returns void language sql security definer set search_path = public
as $$
    select bring_spot_contracts(array_agg(operator_no), array_agg(party_id))
    from (select distinct operator_no, substr(parking_id, 1, 5) as party_id from evse_parking_spot where contracted) as pair
    having count(*) > 0
$$;

-- A log that another cluster or database wrote, restored or copied: its transactions have numbers that are given here to
-- others. It is emptied, with everything that refers to its numbers, and begun again before it is read.
create or replace function renew_log() returns boolean language plpgsql security definer set search_path = public
as $$
declare
    here text := (select system_identifier from pg_control_system())
        || ' ' || (select oid from pg_database where datname = current_database());
begin
    if exists (select from log_state where written_by = here) then
        return false;
    end if;
    -- Without waiting for one table while it holds another: transactions lock these in any order.
    loop
        begin
            lock table change, log_mark, viewer_scope in access exclusive mode nowait;
            exit;
        exception when lock_not_available then
            perform pg_sleep(0.02);
        end;
    end loop;
    truncate change, log_mark, viewer_scope;
    delete from log_state;
    insert into log_state (floor, written_by) values (pg_snapshot_xmin(pg_current_snapshot())::text::bigint, here);
    perform bring_viewer_scope(null);
    insert into log_mark values (clock_timestamp(), log_position());
    return true;
end
$$;
