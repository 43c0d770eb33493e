-- The versions in force; there is one of each spot. Inside coalesce the planner takes the condition for what it mostly is, a
-- filter that nearly all pass.
create or replace view parking_spot as
select * from parking_spot_version where coalesce(
    list_no <> all (array(select no from spot_list where in_force_at is null))
    and (until_no is null or until_no = any (array(select no from spot_list where in_force_at is null))),
    false
);

-- What the log tells is of versions in force; what a list changes by coming into force is told by `app.ingest.spot_versions`.
-- A version that ended counts until that is told: a statement that began before may still change it.
create or replace function parking_spot_inserted() returns trigger language plpgsql as $$
begin
    insert into parking_status (parking_id) select parking_id from fresh order by parking_id on conflict do nothing;
    insert into change (kind, entity_id, existed)
    select 'PARKING_SPOT', parking_id, false from fresh
    where list_no <> all (array(select no from spot_list where in_force_at is null))
    and (until_no is null or until_no = any (array(select no from spot_list where in_force_at is null)))
    order by parking_id;
    return null;
end
$$;

create or replace function parking_spot_updated() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'PARKING_SPOT', fresh.parking_id, stale.operator_nos || case when stale.own_longitude is null then '{}' else '{0}' end::integer[],
        array(select case when no = stale.located_by then stale.longitude end from unnest(stale.operator_nos) as no)
            || case when stale.own_longitude is null then '{}' else array[stale.own_longitude] end,
        array(select case when no = stale.located_by then stale.latitude end from unnest(stale.operator_nos) as no)
            || case when stale.own_latitude is null then '{}' else array[stale.own_latitude] end
    from fresh join stale using (parking_id, list_no)
    where (fresh.content_hash, fresh.operator_nos, fresh.longitude, fresh.latitude, fresh.located_by)
        is distinct from (stale.content_hash, stale.operator_nos, stale.longitude, stale.latitude, stale.located_by)
    and list_no <> all (array(select no from spot_list where in_force_at is null))
    and (stale.until_no is null or exists (
        select from spot_list where no = stale.until_no and (in_force_at is null or told_to < stale.parking_id)
    ))
    order by fresh.parking_id;
    return null;
end
$$;

create or replace function parking_spot_deleted() returns trigger language plpgsql as $$
begin
    delete from parking_status
    where parking_id in (select parking_id from stale)
    and not exists (select from parking_spot_version as version where version.parking_id = parking_status.parking_id);
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'PARKING_SPOT', parking_id, stale.operator_nos || case when stale.own_longitude is null then '{}' else '{0}' end::integer[],
        array(select case when no = stale.located_by then stale.longitude end from unnest(stale.operator_nos) as no)
            || case when stale.own_longitude is null then '{}' else array[stale.own_longitude] end,
        array(select case when no = stale.located_by then stale.latitude end from unnest(stale.operator_nos) as no)
            || case when stale.own_latitude is null then '{}' else array[stale.own_latitude] end from stale
    where list_no <> all (array(select no from spot_list where in_force_at is null))
    and (until_no is null or exists (
        select from spot_list where no = until_no and (in_force_at is null or told_to < parking_id)
    ))
    order by parking_id;
    return null;
end
$$;

create or replace trigger log_inserted after insert on parking_spot_version
    referencing new table as fresh for each statement execute function parking_spot_inserted();
create or replace trigger log_updated after update on parking_spot_version
    referencing old table as stale new table as fresh for each statement execute function parking_spot_updated();
create or replace trigger log_deleted after delete on parking_spot_version
    referencing old table as stale for each statement execute function parking_spot_deleted();
