-- The policy, the grants and the log of reservations. Their two roles are written once: a feed goes by them.
alter table reservation enable row level security;
drop policy if exists sides on reservation;
create policy sides on reservation using (
    (select hub_administrator())
    or provider_role_id = any(array(select hub_role())) or operator_role_id = any(array(select hub_role()))
);
grant select, insert, update (status, updated_at) on reservation to {runtime_role};

create or replace function reservation_moved() returns trigger language plpgsql
as $$
begin
    insert into change (kind, entity_id, existed, role_ids)
    select 'RESERVATION', id::text, tg_op <> 'INSERT', array[provider_role_id, operator_role_id] from moved order by id;
    return null;
end
$$;
create or replace trigger log_insert after insert on reservation
    referencing new table as moved for each statement execute function reservation_moved();
create or replace trigger log_update after update on reservation
    referencing new table as moved for each statement execute function reservation_moved();
create or replace trigger log_delete after delete on reservation
    referencing old table as moved for each statement execute function reservation_moved();

-- The two roles of reservations, with the owner's rights: a round of the stream serves all roles and has none of its own.
-- Nothing else of a reservation is read so.
create or replace function reservation_sides(ids uuid[]) returns table (id text, role_ids integer[])
language sql stable security definer set search_path = public
as $$ select r.id::text, array[provider_role_id, operator_role_id] from reservation as r where r.id = any(ids) $$;
revoke all on function reservation_sides(uuid[]) from public;
grant execute on function reservation_sides(uuid[]) to {runtime_role};
