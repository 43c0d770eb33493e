-- How far the log was complete at an instant. Written now and then; a cursor for an instant begins at the mark before it.

create table log_mark (
    at timestamptz not null,
    transaction bigint not null,
    constraint log_mark_pkey primary key (at)
);

insert into log_mark select now(), log_horizon();

-- Where a reader goes on that has seen what this statement sees: after the last row that is complete. Not at the horizon: a
-- server that crashes gives numbers again that it gave to transactions which left nothing behind. Once for each statement.

create function log_head() returns bigint language plpgsql stable parallel safe
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

grant select, insert, delete on log_mark to {runtime_role};
