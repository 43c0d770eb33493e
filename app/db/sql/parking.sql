-- Write the places where spots are found: the PSO's own word, and each position of linking EVSEs with its operators.
create or replace function place_spots(parking_ids text[]) returns void language sql
as $$
    delete from parking_place where parking_id = any(parking_ids);
    insert into parking_place (parking_id, place_no, own, operator_nos, longitude, latitude)
    select parking_id, row_number() over (partition by parking_id order by not own, longitude, latitude),
        own, operator_nos, longitude, latitude
    from (
        select parking_id, true as own, operator_nos, longitude, latitude from parking_spot
        where parking_id = any(parking_ids) and longitude is not null
        union all
        select parking_id, false, array_agg(distinct link.operator_no), link.longitude, link.latitude
        from parking_spot cross join lateral unnest(operator_nos, link_longitudes, link_latitudes)
            as link (operator_no, longitude, latitude)
        where parking_id = any(parking_ids) group by parking_id, link.longitude, link.latitude
    ) as place
    order by parking_id
$$;

create or replace function parking_spot_inserted() returns trigger language plpgsql as $$
begin
    insert into parking_status (parking_id) select parking_id from fresh order by parking_id on conflict do nothing;
    perform place_spots(array(select parking_id from fresh where longitude is not null or operator_nos <> '{}'));
    insert into change (kind, entity_id, existed)
    select 'PARKING_SPOT', parking_id, false from fresh order by parking_id;
    return null;
end
$$;

-- The log names the places through which a spot was seen: those of linking EVSEs, then the PSO's own word as operator 0.
-- Without nested loops, as `evse_updated`.
create or replace function parking_spot_updated() returns trigger language plpgsql set enable_nestloop = off as $$
begin
    perform place_spots(array(
        select fresh.parking_id from fresh join stale using (parking_id)
        where (fresh.operator_nos, fresh.link_longitudes, fresh.link_latitudes, fresh.longitude, fresh.latitude)
            is distinct from (stale.operator_nos, stale.link_longitudes, stale.link_latitudes, stale.longitude, stale.latitude)
    ));
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'PARKING_SPOT', stale.parking_id, stale.operator_nos || case when stale.longitude is null then '{}' else '{0}' end::integer[],
        stale.link_longitudes || case when stale.longitude is null then '{}' else array[stale.longitude] end,
        stale.link_latitudes || case when stale.latitude is null then '{}' else array[stale.latitude] end
    from fresh join stale using (parking_id)
    where (fresh.content_hash, fresh.operator_nos, fresh.link_longitudes, fresh.link_latitudes, fresh.longitude, fresh.latitude)
        is distinct from (stale.content_hash, stale.operator_nos, stale.link_longitudes, stale.link_latitudes, stale.longitude, stale.latitude)
    order by stale.parking_id;
    return null;
end
$$;

create or replace function parking_spot_deleted() returns trigger language plpgsql as $$
begin
    delete from parking_status where parking_id in (select parking_id from stale);
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'PARKING_SPOT', parking_id, operator_nos || case when longitude is null then '{}' else '{0}' end::integer[],
        link_longitudes || case when longitude is null then '{}' else array[longitude] end,
        link_latitudes || case when latitude is null then '{}' else array[latitude] end
    from stale order by parking_id;
    return null;
end
$$;

create or replace trigger log_inserted after insert on parking_spot
    referencing new table as fresh for each statement execute function parking_spot_inserted();
create or replace trigger log_updated after update on parking_spot
    referencing old table as stale new table as fresh for each statement execute function parking_spot_updated();
create or replace trigger log_deleted after delete on parking_spot
    referencing old table as stale for each statement execute function parking_spot_deleted();
