-- Write the places where spots are found: the PSO's own position, known through operators that have a contract with it,
-- and each position of linking EVSEs with its operators.
create or replace function place_spots(parking_ids text[]) returns void language sql
as $$
    delete from parking_place where parking_id = any(parking_ids);
    insert into parking_place (parking_id, place_no, own, operator_nos, longitude, latitude)
    select parking_id, row_number() over (partition by parking_id order by not own, longitude, latitude),
        own, operator_nos, longitude, latitude
    from (
        select parking_id, true as own, contracted_nos as operator_nos, longitude, latitude from parking_spot
        where parking_id = any(parking_ids) and longitude is not null
        union all
        select parking_id, false, array_agg(distinct link.operator_no), link.longitude, link.latitude
        from parking_spot cross join lateral unnest(operator_nos, link_longitudes, link_latitudes)
            as link (operator_no, longitude, latitude)
        where parking_id = any(parking_ids) group by parking_id, link.longitude, link.latitude
    ) as place
    order by parking_id
$$;

-- Each operator that links a spot has a row for its status, beside the PSO's.
create or replace function keep_statuses(parking_ids text[]) returns void language sql set enable_nestloop = on
as $$
    delete from parking_status using parking_spot as spot
    where parking_status.parking_id = any(parking_ids) and spot.parking_id = parking_status.parking_id
    and said_by <> 0 and said_by <> all(operator_nos);
    insert into parking_status (parking_id, said_by)
    select distinct parking_id, unnest(0 || operator_nos) from parking_spot where parking_id = any(parking_ids)
    order by 1, 2 on conflict do nothing
$$;

create or replace function parking_spot_inserted() returns trigger language plpgsql as $$
begin
    perform keep_statuses(array(select parking_id from fresh));
    perform place_spots(array(select parking_id from fresh where longitude is not null or operator_nos <> '{}'));
    insert into change (kind, entity_id, existed)
    select 'PARKING_SPOT', parking_id, false from fresh order by parking_id;
    return null;
end
$$;

-- The operators whose links are in one of two sets only.
create or replace function relinked_by(
    nos integer[], longitudes float8[], latitudes float8[], former_nos integer[], former_longitudes float8[],
    former_latitudes float8[]
) returns integer[] language sql immutable
as $$
    with link as (select * from unnest(nos, longitudes, latitudes) as link (no, longitude, latitude)),
    former as (select * from unnest(former_nos, former_longitudes, former_latitudes) as link (no, longitude, latitude))
    select array(
        select distinct no
        from ((table link except all table former) union all (table former except all table link)) as moved order by no
    )
$$;

-- The log names the places through which a spot was seen: those of linking EVSEs, then the PSO's own position, through the
-- operators that have a contract with it and as operator 0; and whose statements changed. Without nested loops, as
-- `evse_updated`.
create or replace function parking_spot_updated() returns trigger language plpgsql set enable_nestloop = off as $$
begin
    perform keep_statuses(array(
        select fresh.parking_id from fresh join stale using (parking_id) where fresh.operator_nos <> stale.operator_nos
    ));
    perform place_spots(array(
        select fresh.parking_id from fresh join stale using (parking_id)
        where (fresh.operator_nos, fresh.link_longitudes, fresh.link_latitudes, fresh.contracted_nos, fresh.longitude, fresh.latitude)
            is distinct from (stale.operator_nos, stale.link_longitudes, stale.link_latitudes, stale.contracted_nos, stale.longitude, stale.latitude)
    ));
    with moved as materialized (
        select stale.*, case when (fresh.content_hash, fresh.longitude, fresh.latitude)
                is distinct from (stale.content_hash, stale.longitude, stale.latitude) then '{0}' else '{}' end::integer[]
            || case when (fresh.operator_nos, fresh.link_longitudes, fresh.link_latitudes)
                is distinct from (stale.operator_nos, stale.link_longitudes, stale.link_latitudes)
            then relinked_by(
                fresh.operator_nos, fresh.link_longitudes, fresh.link_latitudes,
                stale.operator_nos, stale.link_longitudes, stale.link_latitudes
            ) end as said_by,
            case when fresh.contracted_nos <> stale.contracted_nos then array(
                select unnest(fresh.contracted_nos || stale.contracted_nos)
                except (select unnest(fresh.contracted_nos) intersect select unnest(stale.contracted_nos))
            ) else '{}' end as contracts_of
        from fresh join stale using (parking_id)
        where (fresh.content_hash, fresh.operator_nos, fresh.link_longitudes, fresh.link_latitudes, fresh.contracted_nos, fresh.longitude, fresh.latitude)
            is distinct from (stale.content_hash, stale.operator_nos, stale.link_longitudes, stale.link_latitudes, stale.contracted_nos, stale.longitude, stale.latitude)
    ), logged as (
        insert into change (kind, entity_id, operator_nos, longitudes, latitudes, said_by)
        select 'PARKING_SPOT', parking_id, operator_nos || case when longitude is null then '{}' else contracted_nos || 0 end,
            link_longitudes || case when longitude is not null then array_fill(longitude, array[cardinality(contracted_nos) + 1]) end,
            link_latitudes || case when latitude is not null then array_fill(latitude, array[cardinality(contracted_nos) + 1]) end, said_by || contracts_of from moved order by parking_id
    )
    -- What the PSO says of its status comes into view, or goes.
    insert into change (kind, entity_id, said_by)
    select 'PARKING_STATUS', parking_id, contracts_of from moved where contracts_of <> '{}' order by parking_id;
    return null;
end
$$;

create or replace function parking_spot_deleted() returns trigger language plpgsql as $$
begin
    delete from parking_status where parking_id in (select parking_id from stale);
    insert into change (kind, entity_id, operator_nos, longitudes, latitudes)
    select 'PARKING_SPOT', parking_id, operator_nos || case when longitude is null then '{}' else contracted_nos || 0 end,
        link_longitudes || case when longitude is not null then array_fill(longitude, array[cardinality(contracted_nos) + 1]) end,
        link_latitudes || case when latitude is not null then array_fill(latitude, array[cardinality(contracted_nos) + 1]) end from stale order by parking_id;
    return null;
end
$$;

create or replace trigger log_inserted after insert on parking_spot
    referencing new table as fresh for each statement execute function parking_spot_inserted();
create or replace trigger log_updated after update on parking_spot
    referencing old table as stale new table as fresh for each statement execute function parking_spot_updated();
create or replace trigger log_deleted after delete on parking_spot
    referencing old table as stale for each statement execute function parking_spot_deleted();

-- Operators, by number, and parking spot operators, by party id, that have a contract in force with each other.
create or replace view spot_contract as
select operator.no as operator_no, held.party_id
from viewer_scope join operator using (role_id) join partner_role as held on held.id = subject
where viewer_scope.kind = 'PSO' and ended is null and (viewer_scope.valid_until is null or viewer_scope.valid_until > now());

-- Bring the links of some pairs of operators and PSOs to the contracts in force, and with them who sees what the PSO
-- publishes and what is occupied for whom. A transaction that links spots shares the first lock (`touch_links`): of the
-- two the second sees what the first did.
create or replace function bring_spot_contracts(pair_nos integer[], pair_party_ids text[]) returns void
language plpgsql security definer set search_path = public
as $$
declare
    touched text[];
begin
    perform pg_advisory_xact_lock(4, no) from (select distinct no from unnest(pair_nos) as no order by no) as operator;
    touched := array(
        select distinct parking_id from unnest(pair_nos, pair_party_ids) as pair (no, party_id)
        join parking_spot as spot on spot.party_id = pair.party_id and pair.no = any(operator_nos)
    );
    perform from parking_status where parking_id = any(touched) and said_by = 0 order by parking_id for no key update;
    perform from parking_spot where parking_id = any(touched) order by parking_id for no key update;
    update evse_parking_spot as link set contracted = not contracted
    where parking_id = any(touched) and contracted <> exists (
        select from spot_contract as contract
        where contract.operator_no = link.operator_no and contract.party_id = substr(link.parking_id, 1, 5)
    );
    update parking_spot as spot set contracted_nos = linked.nos
    from (
        select parking_id, coalesce(array_agg(distinct operator_no) filter (where contracted), '{}') as nos
        from evse_parking_spot where parking_id = any(touched) group by parking_id
    ) as linked
    where spot.parking_id = linked.parking_id and contracted_nos <> linked.nos;
    perform refresh_blocked(array(
        select distinct evse_id from evse_parking_spot where parking_id = any(touched) and operator_no = any(pair_nos)
    ), now());
end
$$;
