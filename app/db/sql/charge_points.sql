-- What the log tells is of lists in force; what a list changes by coming into force is told by `app.ingest.settle`. A status
-- is born with the first row of its EVSE and goes with the last.
create or replace function evse_inserted() returns trigger language plpgsql as $$
begin
    insert into evse_status (evse_id) select evse_id from fresh order by evse_id on conflict do nothing;
    insert into change (kind, entity_id, existed)
    select 'EVSE', evse_id, false from fresh where list_no in (select list_no from operator) order by evse_id;
    return null;
end
$$;

create or replace function evse_updated() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'EVSE', evse_id, array[stale.operator_no], array[stale.longitude], array[stale.latitude]
    from fresh join stale using (evse_id, list_no)
    where (fresh.content_hash, fresh.longitude, fresh.latitude) <> (stale.content_hash, stale.longitude, stale.latitude)
    and list_no in (select list_no from operator) order by evse_id;
    return null;
end
$$;

create or replace function evse_deleted() returns trigger language plpgsql as $$
begin
    delete from evse_status
    where evse_id in (select evse_id from stale where not exists (select from evse as e where e.evse_id = stale.evse_id));
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'EVSE', evse_id, array[operator_no], array[longitude], array[latitude] from stale
    where list_no in (select list_no from operator) order by evse_id;
    return null;
end
$$;

create or replace trigger log_inserted after insert on evse
    referencing new table as fresh for each statement execute function evse_inserted();
create or replace trigger log_updated after update on evse
    referencing old table as stale new table as fresh for each statement execute function evse_updated();
create or replace trigger log_deleted after delete on evse
    referencing old table as stale for each statement execute function evse_deleted();
