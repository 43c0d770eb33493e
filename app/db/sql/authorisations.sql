-- The readers of roaming authorisations are their provider and the operators that have a contract with it. There are no
-- others, not even the administrator; the hub itself does housekeeping as one.
create or replace function visible_providers(viewer_role_id integer) returns setof integer language sql stable rows 50
as $$
    select visible_subjects(viewer_role_id, 'EVSP') where exists (
        select from partner_role where id = viewer_role_id and role in ('EVSE_OPERATOR', 'EVSP') and revoked_at is null
    )
$$;

alter table authorisation enable row level security;
drop policy if exists own on authorisation;
create policy own on authorisation using ((select hub_administrator()) or provider_role_id = any(array(select hub_role())));
drop policy if exists contracted on authorisation;
create policy contracted on authorisation for select using (
    provider_role_id = any(array(select visible_providers((select hub_role()))))
);
grant select, insert, update, delete on authorisation, listed_authorisation to {runtime_role};

-- The planner learns of a long list with its commit: the server's own look comes up to a minute later, and until then plans
-- are made for a small table. Only the owner may.
create or replace function analyse_authorisations() returns void
language plpgsql security definer set search_path = public
as $$ begin analyze authorisation; end $$;
revoke all on function analyse_authorisations() from public;
grant execute on function analyse_authorisations() to {runtime_role};

-- The log names an authorisation by its id and its provider. `existed`: it was in force before.
create or replace function authorisation_inserted() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'AUTHORISATION', id::text, false, array[provider_role_id] from fresh where removed_at is null and not expired;
    return null;
end
$$;

create or replace function authorisation_updated() returns trigger language plpgsql set enable_nestloop = off
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'AUTHORISATION', id::text, stale.removed_at is null and not stale.expired, array[fresh.provider_role_id]
    from fresh join stale using (id)
    where (fresh.content_hash, fresh.removed_at is null, fresh.expired)
        <> (stale.content_hash, stale.removed_at is null, stale.expired)
    and (fresh.removed_at is null and not fresh.expired or stale.removed_at is null and not stale.expired);
    return null;
end
$$;

create or replace function authorisation_deleted() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, role_ids)
    select 'AUTHORISATION', id::text, array[provider_role_id] from stale where removed_at is null and not expired;
    return null;
end
$$;

create or replace trigger log_inserted after insert on authorisation
    referencing new table as fresh for each statement execute function authorisation_inserted();
create or replace trigger log_updated after update on authorisation
    referencing old table as stale new table as fresh for each statement execute function authorisation_updated();
create or replace trigger log_deleted after delete on authorisation
    referencing old table as stale for each statement execute function authorisation_deleted();

-- What the stream matches by: nothing but the provider, and whether the authorisation is in force. With the owner's rights:
-- a round of the stream serves all roles and has none of its own.
create or replace function authorisation_states(ids uuid[])
returns table (id text, provider_role_id integer, in_force boolean)
language sql stable security definer set search_path = public
as $$
    select a.id::text, a.provider_role_id, a.removed_at is null and not a.expired
    from authorisation as a where a.id = any(ids)
$$;

create or replace function authorisations_of(provider_role_ids integer[], after text, most integer)
returns table (id text, provider_role_id integer, in_force boolean)
language sql stable security definer set search_path = public rows 1000
as $$
    select found.id::text, found.provider_role_id, found.in_force
    from unnest(provider_role_ids) as provider (role_id) cross join lateral (
        select a.id, a.provider_role_id, a.removed_at is null and not a.expired as in_force
        from authorisation as a
        where a.provider_role_id = provider.role_id
        and a.id > coalesce(nullif(after, ''), '00000000-0000-0000-0000-000000000000')::uuid
        order by a.id limit most
    ) as found order by found.id limit most
$$;

-- The tokens that are named when authorisations are taken away again, also after a contract ended: to those who could read
-- the provider's tokens since the oldest cursor that is still good. What changed after they could is named by its hash, which
-- they know from what they hold. By the log, since an upload that began before a contract ended may be committed after it;
-- by `updated_at`, since the log has no row for a change of what has expired. Where the driver's data were erased, the token
-- is empty.
create or replace function removed_tokens(ids uuid[])
returns table (id uuid, token_type text, token_sub_type text, representation text, instance text)
language sql stable security definer set search_path = public rows 1000
as $$
    select a.id, a.token_type, a.token_sub_type,
        case when reader.knows or a.instance = '' then a.representation
            when length(a.token_key) = 42 then 'SHA_160' else 'SHA_256' end,
        case when reader.knows or a.instance = '' then a.instance else substr(a.token_key, 3) end
    from authorisation as a
    cross join lateral (
        select bool_or(coalesce(least(ended_at, valid_until), 'infinity') >= a.updated_at and (
            ended_at is null and valid_until is null or not exists (
                select from change where change.kind = 'AUTHORISATION' and entity_id = a.id::text and (
                    at > valid_until or not pg_visible_in_snapshot(transaction::text::xid8, ended_snapshot::pg_snapshot)
                )
            )
        )) as knows
        from viewer_scope as scope
        where scope.role_id = hub_role() and kind = 'EVSP' and subject = a.provider_role_id
    ) as reader
    where a.id = any(ids) and reader.knows is not null and exists (
        select from partner_role where partner_role.id = hub_role() and role in ('EVSE_OPERATOR', 'EVSP')
    )
$$;

revoke all on function authorisation_states(uuid[]), authorisations_of(integer[], text, integer), removed_tokens(uuid[])
    from public;
grant execute on function authorisation_states(uuid[]), authorisations_of(integer[], text, integer), removed_tokens(uuid[])
    to {runtime_role};
