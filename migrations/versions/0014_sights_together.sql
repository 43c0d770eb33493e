-- Rows of operators' sight name no entity but all operators that came or went: a register opens hundreds at once, and
-- readers go through the EVSEs of all that a row names together.

create or replace function bring_sights(role_ids integer[]) returns void
language plpgsql security definer set search_path = public
as $$
begin
    with wanted as materialized (
        select role_id, operator_no from operator_sight_in_force where role_ids is null or role_id = any(role_ids)
    ), begun as (
        insert into operator_sight select role_id, operator_no from wanted
        where not exists (
            select from operator_sight as sight where (sight.role_id, sight.operator_no) = (wanted.role_id, wanted.operator_no)
        )
        returning role_id, operator_no, false as existed
    ), ended as (
        delete from operator_sight as sight where (role_ids is null or role_id = any(role_ids))
        and not exists (
            select from wanted where (wanted.role_id, wanted.operator_no) = (sight.role_id, sight.operator_no)
        )
        returning role_id, operator_no, true as existed
    )
    insert into change (kind, entity_id, operator_nos, role_id, existed)
    select 'SIGHT', '', array_agg(operator_no order by operator_no), nullif(role_id, 0), existed
    from (select * from begun union all select * from ended) as moved
    group by role_id, existed order by role_id, existed;
    with wanted as materialized (
        select role_id, party_id from parking_sight_in_force where role_ids is null or role_id = any(role_ids)
    ), begun as (
        insert into parking_sight select role_id, party_id from wanted
        where not exists (
            select from parking_sight as sight where (sight.role_id, sight.party_id) = (wanted.role_id, wanted.party_id)
        )
        returning role_id, party_id, false as existed
    ), ended as (
        delete from parking_sight as sight where (role_ids is null or role_id = any(role_ids))
        and not exists (
            select from wanted where (wanted.role_id, wanted.party_id) = (sight.role_id, sight.party_id)
        )
        returning role_id, party_id, true as existed
    )
    insert into change (kind, entity_id, role_id, existed)
    select 'SIGHT', party_id, role_id, existed from (select * from begun union all select * from ended) as moved
    order by role_id, party_id;
end
$$;
