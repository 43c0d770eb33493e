-- The policy and the grants of reservations.
alter table reservation enable row level security;
drop policy if exists sides on reservation;
create policy sides on reservation using (
    (select hub_administrator())
    or provider_role_id = any(array(select hub_role())) or operator_role_id = any(array(select hub_role()))
);
grant select, insert, update on reservation to {runtime_role};
