-- Contracts in force, seen from each of their two sides. A suspended partner has none.
create or replace view contract_in_force as
select side.from_role_id, side.to_role_id
from contract
cross join lateral (values
    (first_role_id, second_role_id),
    (second_role_id, first_role_id)
) as side (from_role_id, to_role_id)
where status = 'ACTIVE'
and (valid_from is null or valid_from <= now())
and (valid_until is null or valid_until > now())
and not exists (
    select from partner
    where partner.id in (contract.first_partner_id, contract.second_partner_id) and suspended_at is not null
);

-- The operators a role may see: open ones, its own, those it has a contract with; an NSP also those that an EVSP it has a
-- contract with has one with; the administrator all. Runs with its owner's rights, because contracts are private.
create or replace function visible_operators(viewer_role_id integer) returns setof integer
language plpgsql stable security definer set search_path = public rows 200
as $$
declare
    viewer text := (select role from partner_role where id = viewer_role_id and revoked_at is null);
begin
    if viewer = 'ADMINISTRATOR' then
        return query select no from operator;
        return;
    end if;
    return query
        select no from operator where open and not suspended
        union
        select no from operator where role_id = viewer_role_id and not suspended
        union
        select operator.no from contract_in_force
        join operator on operator.role_id = contract_in_force.to_role_id
        where contract_in_force.from_role_id = viewer_role_id
        union
        select operator.no from contract_in_force as with_provider
        join partner_role as provider on provider.id = with_provider.to_role_id and provider.role = 'EVSP'
        join contract_in_force as with_operator on with_operator.from_role_id = provider.id
        join operator on operator.role_id = with_operator.to_role_id
        where with_provider.from_role_id = viewer_role_id and viewer = 'NSP';
end
$$;

-- The parking spot operators, by party id, whose spots a role may see even where it sees no EVSE of them: its own, and
-- those it has a contract with. Runs with its owner's rights, because contracts are private.
create or replace function visible_parking_operators(viewer_role_id integer) returns setof text
language sql stable security definer set search_path = public rows 10
as $$
    select party_id from partner_role where id = viewer_role_id and role = 'PSO' and revoked_at is null
    union
    select held.party_id from contract_in_force
    join partner_role as held on held.id = contract_in_force.to_role_id and held.role = 'PSO' and held.revoked_at is null
    where contract_in_force.from_role_id = viewer_role_id
$$;

-- The operators where customers of a provider can charge, for the provider itself, for who has a contract with it, and for
-- the administrator; for others none, so that nobody can probe who contracts with whom.
create or replace function operators_of_provider(viewer_role_id integer, provider_id text) returns setof integer
language plpgsql stable security definer set search_path = public rows 50
as $$
declare
    provider integer := (
        select id from partner_role where role = 'EVSP' and party_id = provider_id and revoked_at is null
    );
begin
    if viewer_role_id = provider
    or exists (select from contract_in_force where from_role_id = viewer_role_id and to_role_id = provider)
    or exists (select from partner_role where id = viewer_role_id and role = 'ADMINISTRATOR' and revoked_at is null) then
        return query
            select operator.no from contract_in_force
            join operator on operator.role_id = contract_in_force.to_role_id
            where contract_in_force.from_role_id = provider;
    end if;
end
$$;
