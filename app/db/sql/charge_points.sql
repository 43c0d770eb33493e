-- A status is born with its EVSE and goes with it. Rows of one statement are logged in the order of ids.
create or replace function evse_inserted() returns trigger language plpgsql as $$
begin
    insert into evse_status (evse_id) select evse_id from fresh order by evse_id;
    insert into change (kind, entity_id, existed) select 'EVSE', evse_id, false from fresh order by evse_id;
    return null;
end
$$;

-- The plan is kept from the first call, which mostly has one row: a nested loop would compare a thousand with a thousand.
create or replace function evse_updated() returns trigger language plpgsql set enable_nestloop = off as $$
begin
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'EVSE', evse_id, array[stale.operator_no], array[stale.longitude], array[stale.latitude]
    from fresh join stale using (evse_id)
    where (fresh.content_hash, fresh.longitude, fresh.latitude) <> (stale.content_hash, stale.longitude, stale.latitude)
    order by evse_id;
    return null;
end
$$;

create or replace function evse_deleted() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'EVSE', evse_id, array[operator_no], array[longitude], array[latitude] from stale order by evse_id;
    return null;
end
$$;

create or replace trigger log_inserted after insert on evse
    referencing new table as fresh for each statement execute function evse_inserted();
create or replace trigger log_updated after update on evse
    referencing old table as stale new table as fresh for each statement execute function evse_updated();
create or replace trigger log_deleted after delete on evse
    referencing old table as stale for each statement execute function evse_deleted();
