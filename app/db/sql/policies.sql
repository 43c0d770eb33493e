-- Private tables are protected twice: in the plan of every read, and here, for the runtime role, which owns nothing.

alter table api_key enable row level security;
drop policy if exists own on api_key;
create policy own on api_key using ((select hub_administrator()) or partner_id = (select hub_partner()));

alter table contract enable row level security;
drop policy if exists own on contract;
create policy own on contract using (
    (select hub_administrator()) or (select hub_partner()) in (first_partner_id, second_partner_id)
);

alter table audit_log enable row level security;
drop policy if exists own on audit_log;
create policy own on audit_log for select using (
    (select hub_administrator()) or partner_ids @> array[(select hub_partner())]
);
drop policy if exists append on audit_log;
create policy append on audit_log for insert with check (true);

alter table refusal enable row level security;
drop policy if exists own on refusal;
create policy own on refusal using ((select hub_administrator()) or partner_id = (select hub_partner()));
