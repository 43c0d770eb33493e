-- Where its PSO gives no position, a spot is where an EVSE of one operator is: only those know who see that operator.

alter table parking_spot add column located_by integer;
alter table change add column located_by integer;

create or replace function parking_spot_updated() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude, located_by)
    select 'PARKING_SPOT', fresh.parking_id, stale.operator_nos, stale.longitude, stale.latitude, stale.located_by
    from fresh join stale using (parking_id)
    where (fresh.content_hash, fresh.operator_nos, fresh.longitude, fresh.latitude, fresh.located_by)
        is distinct from (stale.content_hash, stale.operator_nos, stale.longitude, stale.latitude, stale.located_by)
    order by fresh.parking_id;
    return null;
end
$$;

create or replace function parking_spot_deleted() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude, located_by)
    select 'PARKING_SPOT', parking_id, operator_nos, longitude, latitude, located_by from stale order by parking_id;
    return null;
end
$$;

-- The log is told, by these functions: so far everybody who saw such a spot knew where it is, and whoever follows a region
-- hears that it is not there any more, for those who may not know.

update parking_spot set located_by = linked.operator_no, longitude = linked.longitude, latitude = linked.latitude
from (
    select distinct on (parking_id) parking_id, evse.operator_no, evse.longitude, evse.latitude
    from evse_parking_spot join evse using (evse_id, list_no) left join operator using (list_no)
    order by parking_id, operator.no is null, evse_id, list_no
) as linked
where parking_spot.parking_id = linked.parking_id and own_longitude is null;

update parking_spot set longitude = null, latitude = null
where own_longitude is null and located_by is null and longitude is not null;

alter table parking_spot add constraint parking_spot_located_check check (
    (located_by is not null) = (longitude is not null and own_longitude is null)
    and (located_by is null or located_by = any(operator_nos))
);
