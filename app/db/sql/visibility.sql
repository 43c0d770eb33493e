-- Contracts in force, seen from each of their two sides. A suspended partner has none.
create or replace view contract_in_force as
select from_role_id, to_role_id, valid_until
from (
    -- Not a lateral list of both sides: this way an index finds the contracts of a role, from either side.
    select first_role_id as from_role_id, second_role_id as to_role_id, contract.* from contract
    union all
    select second_role_id, first_role_id, contract.* from contract
) as side
where status = 'ACTIVE'
and (valid_from is null or valid_from <= now())
and (valid_until is null or valid_until > now())
and not exists (
    select from partner where partner.id in (first_partner_id, second_partner_id) and suspended_at is not null
);

-- What a role may see now of one kind: its rows of `viewer_scope` and those of everybody (role 0).
create or replace function visible_subjects(viewer_role_id integer, subject_kind text) returns setof integer
language sql stable rows 200
as $$
    select subject from viewer_scope
    where role_id in (0, viewer_role_id) and kind = subject_kind and ended is null
    and (valid_until is null or valid_until > now())
$$;

-- The operators, by number, whose EVSEs a role may see: open ones, its own, those it has a contract with; an NSP also those
-- that an EVSP it has a contract with has one with; the administrator all.
create or replace function visible_operators(viewer_role_id integer) returns setof integer language sql stable rows 200
as $$
    select visible_subjects(viewer_role_id, 'OPERATOR')
    union all
    select no from operator
    where exists (select from partner_role where id = viewer_role_id and role = 'ADMINISTRATOR' and revoked_at is null)
$$;

-- The parking spot operators, by party id, whose spots a role may see even where it sees no EVSE of them: its own, and
-- those it has a contract with.
create or replace function visible_parking_operators(viewer_role_id integer) returns setof text
language sql stable rows 10
as $$ select party_id from partner_role where id in (select visible_subjects(viewer_role_id, 'PSO')) $$;

-- The operators where customers of a provider can charge, for the provider itself, for a role that has a contract with it,
-- and for the administrator; for all others none, so that no caller can probe which partners have contracts.
create or replace function operators_of_provider(viewer_role_id integer, provider_id text) returns setof integer
language sql stable rows 50
as $$
    select operators.subject
    from partner_role as provider
    join viewer_scope as operators on operators.role_id = provider.id and operators.kind = 'OPERATOR'
    where provider.role = 'EVSP' and provider.party_id = provider_id and provider.revoked_at is null
    and operators.ended is null and (operators.valid_until is null or operators.valid_until > now())
    and (
        provider.id in (select visible_subjects(viewer_role_id, 'EVSP'))
        or exists (
            select from partner_role where id = viewer_role_id and role = 'ADMINISTRATOR' and revoked_at is null
        )
    )
$$;
