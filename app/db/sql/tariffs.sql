-- The providers whose individual tariffs a role may read: an EVSP's own, for an NSP those of the EVSPs that it has contracts
-- with. All other roles, competitors among them, read defaults only; and so does the administrator.
create or replace function tariff_providers(viewer_role_id integer) returns table (role_id integer, party_id text)
language sql stable rows 10
as $$
    select provider.id, provider.party_id
    from partner_role as viewer
    join partner_role as provider on provider.role = 'EVSP' and provider.revoked_at is null and (
        provider.id = viewer_role_id
        or viewer.role = 'NSP' and provider.id in (select visible_subjects(viewer_role_id, 'EVSP'))
    )
    where viewer.id = viewer_role_id and viewer.revoked_at is null
$$;

-- Of these the one that is asked for, by the id of its role; an EVSP need not name itself. Null: none, with the same answer
-- for a provider that does not exist as for one that the role has no contract with.
create or replace function tariff_provider(viewer_role_id integer, asked text) returns integer language sql stable
as $$
    select role_id from tariff_providers(viewer_role_id)
    where party_id = coalesce(asked, (select party_id from partner_role where id = viewer_role_id))
$$;

-- Every caller may read a tariff and its default; an operator alone writes its own, and reads all of their recipients. Policies
-- are tried in the order of their names: what is one's own need not be looked up among recipients.
alter table tariff enable row level security;
drop policy if exists own on tariff;
create policy own on tariff using (operator_no = any(array(select no from operator where role_id = (select hub_role()))));
drop policy if exists shown on tariff;
create policy shown on tariff for select using (true);

alter table tariff_recipient enable row level security;
drop policy if exists own on tariff_recipient;
create policy own on tariff_recipient using (
    operator_no = any(array(select no from operator where role_id = (select hub_role())))
);
drop policy if exists shown on tariff_recipient;
create policy shown on tariff_recipient for select using (
    party_id = any(array(select party_id from tariff_providers((select hub_role()))))
);

alter table individual_tariff enable row level security;
drop policy if exists own on individual_tariff;
create policy own on individual_tariff using (
    operator_no = any(array(select no from operator where role_id = (select hub_role())))
);
drop policy if exists shown on individual_tariff;
create policy shown on individual_tariff for select using (
    number = 0 or exists (
        select from tariff_recipient as recipient
        where recipient.tariff_id = individual_tariff.tariff_id and recipient.number = individual_tariff.number
    )
);

grant select, insert, update, delete on tariff, individual_tariff, tariff_recipient to {runtime_role};

-- What the stream matches by: the operator, and the providers that have, or had, individual tariffs. With the owner's rights:
-- a round of the stream serves all roles and has none of its own.
create or replace function tariff_states(ids text[]) returns table (id text, operator_no integer, recipients text[])
language sql stable security definer set search_path = public
as $$
    select t.tariff_id, t.operator_no, array(select party_id from tariff_recipient as r where r.tariff_id = t.tariff_id)
    from tariff as t where t.tariff_id = any(ids)
$$;

create or replace function tariffs_of(operator_nos integer[], after text, most integer)
returns table (id text, operator_no integer, recipients text[])
language sql stable security definer set search_path = public
as $$
    select * from tariff_states(array(
        select tariff_id from tariff as t where t.operator_no = any(operator_nos) and tariff_id > after
        order by tariff_id limit most
    )) as state order by state.id
$$;

revoke all on function tariff_states(text[]), tariffs_of(integer[], text, integer) from public;
grant execute on function tariff_states(text[]), tariffs_of(integer[], text, integer) to {runtime_role};
