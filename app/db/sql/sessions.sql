-- Sessions, requests and answers belong to an operator, and but for answers to a provider; the hub itself ends sessions that
-- were not ended, and erases personal data, as administrator.
alter table session enable row level security;
drop policy if exists sides on session;
create policy sides on session using (
    (select hub_administrator())
    or operator_role_id = any(array(select hub_role())) or provider_role_id = any(array(select hub_role()))
);
alter table authorisation_request enable row level security;
drop policy if exists sides on authorisation_request;
create policy sides on authorisation_request using (
    (select hub_administrator())
    or operator_role_id = any(array(select hub_role())) or provider_role_id = any(array(select hub_role()))
);
alter table authorisation_answer enable row level security;
drop policy if exists own on authorisation_answer;
create policy own on authorisation_answer using (
    (select hub_administrator()) or operator_role_id = any(array(select hub_role()))
);
grant select, insert, update on session to {runtime_role};
grant select, insert on authorisation_request to {runtime_role};
grant select, insert, update, delete on authorisation_answer to {runtime_role};

create or replace function session_inserted() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'SESSION', id::text, false, array[operator_role_id, provider_role_id] from moved order by id;
    return null;
end
$$;
create or replace trigger log_inserted after insert on session
    referencing new table as moved for each statement execute function session_inserted();

-- What a session contradicts may come from another provider's session: only the operator receives that it changed.
create or replace function session_updated() returns trigger language plpgsql set enable_nestloop = off
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'SESSION', id::text, true, case
        when to_jsonb(fresh) - 'contradictions' = to_jsonb(stale) - 'contradictions' then array[fresh.operator_role_id]
        else array[fresh.operator_role_id, fresh.provider_role_id]
    end
    from fresh join stale using (id) order by id;
    return null;
end
$$;
create or replace trigger log_updated after update on session
    referencing old table as stale new table as fresh for each statement execute function session_updated();

create or replace function authorisation_requested() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'AUTHORISATION_REQUEST', id::text, false, array_remove(array[operator_role_id, provider_role_id], null)
    from moved order by id;
    return null;
end
$$;
create or replace trigger log_inserted after insert on authorisation_request
    referencing new table as moved for each statement execute function authorisation_requested();

-- The two roles of sessions and requests, with the owner's rights: a round of the stream serves all roles.
create or replace function session_sides(ids uuid[]) returns table (id text, role_ids integer[])
language sql stable security definer set search_path = public
as $$ select s.id::text, array[operator_role_id, provider_role_id] from session as s where s.id = any(ids) $$;

create or replace function authorisation_request_sides(ids bigint[]) returns table (id text, role_ids integer[])
language sql stable security definer set search_path = public
as $$
    select r.id::text, array_remove(array[operator_role_id, provider_role_id], null)
    from authorisation_request as r where r.id = any(ids)
$$;

-- Lock the statuses of some EVSEs, then the active sessions there, also another operator's. Chains of history are locked
-- after them: a transaction with a chain waits for no session.
create or replace function lock_places(evse_ids text[]) returns void
language plpgsql volatile security definer set search_path = public
as $$
begin
    perform from evse_status where evse_id = any(evse_ids) order by evse_id for no key update;
    perform from session where evse_id = any(evse_ids) and status = 'ACTIVE' order by id for no key update;
end
$$;

-- Bring up to date what the active sessions on some EVSEs contradict, and whether these EVSEs have any. The caller has
-- locked the statuses of these EVSEs: of a status and a session that are written at the same time the second one sees the
-- first. app/ingest/status calls it for statuses with `has_session`: a trigger would cost every status. A status is AVAILABLE
-- until its expiry is logged (`due`), whatever the clocks of hub and database say.
create or replace function refresh_contradictions(evse_ids text[]) returns void
language plpgsql volatile security definer set search_path = public
as $$
begin
    with active as (
        select id, array_remove(array[
            case when major = 'AVAILABLE' and due is not null then 'EVSE_AVAILABLE' end,
            case when count(*) over (partition by evse_id) > 1 then 'SEVERAL_SESSIONS' end
        ], null) as wanted
        from session left join evse_status using (evse_id)
        where session.status = 'ACTIVE' and evse_id = any(evse_ids)
    )
    update session set contradictions = wanted from active
    where session.id = active.id and session.status = 'ACTIVE' and contradictions is distinct from wanted;
    update evse_status as place set has_session = not has_session
    where evse_id = any(evse_ids) and has_session <> exists (
        select from session where session.evse_id = place.evse_id and session.status = 'ACTIVE'
    );
end
$$;

-- A session outlives the record of its EVSE, and finds it again. Triggers of one event run in the order of their names: the
-- statuses have come or gone by then.
create or replace function evses_moved() returns trigger language plpgsql security definer set search_path = public
as $$
begin
    if exists (select from moved join session using (evse_id) where session.status = 'ACTIVE') then
        perform refresh_contradictions(array(select evse_id from moved));
    end if;
    return null;
end
$$;
create or replace trigger session_lost after delete on evse
    referencing old table as moved for each statement execute function evses_moved();
create or replace trigger session_met after insert on evse
    referencing new table as moved for each statement execute function evses_moved();

revoke all on function session_sides(uuid[]), authorisation_request_sides(bigint[]), refresh_contradictions(text[]),
    lock_places(text[]) from public;
grant execute on function session_sides(uuid[]), authorisation_request_sides(bigint[]), refresh_contradictions(text[]),
    lock_places(text[]) to {runtime_role};
