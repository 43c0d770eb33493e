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

create or replace function session_moved() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'SESSION', id::text, tg_op <> 'INSERT', array[operator_role_id, provider_role_id] from moved order by id;
    return null;
end
$$;
create or replace trigger log_inserted after insert on session
    referencing new table as moved for each statement execute function session_moved();
create or replace trigger log_updated after update on session
    referencing new table as moved for each statement execute function session_moved();

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

-- Bring the contradictions of the active sessions on some EVSEs up to date. The caller has locked the statuses of these
-- EVSEs: of a status and a session that are written at the same time the second one sees the first.
create or replace function refresh_contradictions(evse_ids text[]) returns void
language sql volatile security definer set search_path = public
as $$
    with active as (
        select id, array_remove(array[
            case when major = 'AVAILABLE' and expires_at > now() then 'EVSE_AVAILABLE' end,
            case when count(*) over (partition by evse_id) > 1 then 'SEVERAL_SESSIONS' end
        ], null) as found
        from session left join evse_status using (evse_id)
        where session.status = 'ACTIVE' and evse_id = any(evse_ids)
    )
    update session set contradictions = found from active
    where session.id = active.id and contradictions is distinct from found
$$;

create or replace function status_contradicts() returns trigger language plpgsql
as $$
begin
    perform refresh_contradictions(array(select evse_id from fresh));
    return null;
end
$$;
create or replace trigger contradict after update on evse_status
    referencing new table as fresh for each statement execute function status_contradicts();

revoke all on function session_sides(uuid[]), authorisation_request_sides(bigint[]), refresh_contradictions(text[]) from public;
grant execute on function session_sides(uuid[]), authorisation_request_sides(bigint[]), refresh_contradictions(text[])
    to {runtime_role};
