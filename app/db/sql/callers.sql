-- The caller: its partner, its role, whether it is the administrator. Set for one transaction by app.db.engine; empty for
-- a caller without a key.
create or replace function hub_partner() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('hub.partner', true), '')::uuid $$;

create or replace function hub_role() returns integer language sql stable parallel safe
as $$ select nullif(current_setting('hub.role', true), '')::integer $$;

create or replace function hub_administrator() returns boolean language sql stable parallel safe
as $$ select coalesce(current_setting('hub.administrator', true), '') = 'on' $$;

-- The caller behind a key's hash, if key, role and partner are valid now. Runs with its owner's rights: until it returns,
-- there is no caller, and no row of api_key is visible.
create or replace function authenticate(hash bytea)
returns table (key_id uuid, role_id integer, partner_id uuid, partner_name text, role text, party_id text)
language sql stable security definer set search_path = public
as $$
    select api_key.id, partner_role.id, partner.id, partner.name, partner_role.role, partner_role.party_id
    from api_key
    join partner_role on partner_role.id = api_key.role_id and partner_role.revoked_at is null
    join partner on partner.id = partner_role.partner_id and partner.suspended_at is null
    where secret_hash = hash and api_key.revoked_at is null
    and (expires_at is null or expires_at > now())
$$;
