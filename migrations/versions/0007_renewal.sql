-- A dump restored into another cluster may bear numbers of transactions that have yet to come here. Such a log is begun
-- anew; its cursors have gone out of date already, with its epoch. What a statement sees is below its own snapshot's end.

create function log_end() returns bigint language sql stable parallel safe
as $$ select pg_snapshot_xmax(pg_current_snapshot())::text::bigint $$;

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

