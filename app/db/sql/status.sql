-- Of a spot the PSO's status counts for EVSEs of operators that have a contract with it, as long as it says something; else
-- the status of the EVSE's own operator.
-- A stored block is the one that was logged last, even if it expired meanwhile: the transaction that removes or renews it
-- logs the change. `was_available` then makes every subscriber receive that the EVSE is no longer available.
create or replace function refresh_blocked(evse_ids text[], present timestamptz) returns void
language plpgsql volatile
as $$
begin
    perform from evse_status where evse_id = any(evse_ids) order by evse_id for no key update;
    with wanted as (
        select status.evse_id, status.major, status.expires_at, status.blocked_until, taken.until
        from evse_status as status
        cross join lateral (
            select case when bool_and(coalesce(spot.status = 'NOT_AVAILABLE' and spot.expires_at > present, false))
                then min(spot.expires_at) end as until
            from evse_parking_spot as link
            left join lateral (
                select said.status, said.expires_at from parking_status as said
                where said.parking_id = link.parking_id
                and (said.said_by = link.operator_no or (link.contracted and said.said_by = 0))
                order by coalesce(said.status <> 'UNKNOWN' and said.expires_at > present, false) desc, said_by limit 1
            ) as spot on true
            where link.evse_id = status.evse_id
        ) as taken
        where status.evse_id = any(evse_ids) and status.blocked_until is distinct from taken.until
    ), written as (
        update evse_status set blocked_until = wanted.until from wanted where evse_status.evse_id = wanted.evse_id
    )
    insert into change (kind, entity_id, was_available)
    select 'EVSE_STATUS', evse_id, until is not null from wanted
    where major = 'AVAILABLE' and expires_at > present
    and ((blocked_until is null) <> (until is null) or blocked_until <= present)
    order by evse_id;
end
$$;

-- A transaction that links a spot waits for one that writes the spot's status, and sees it; the next writer sees the link.
create or replace function links_changed() returns trigger language plpgsql as $$
begin
    perform from parking_status where parking_id in (select parking_id from touched) and said_by = 0
        order by parking_id for share;
    perform refresh_blocked((select array_agg(distinct evse_id) from touched), now());
    return null;
end
$$;

-- Not when the links go with their EVSE, one statement for each.
create or replace trigger block_linked after insert on evse_parking_spot
    referencing new table as touched for each statement execute function links_changed();
create or replace trigger block_unlinked after delete on evse_parking_spot
    referencing old table as touched for each statement when (pg_trigger_depth() = 0)
    execute function links_changed();
