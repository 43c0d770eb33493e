-- A plug that hardly anybody has, at one EVSE in a thousand.

update evse
set connector_standards = array['{rare}'], connector_formats = array['SOCKET'], connector_tariff_ids = array[null::text],
    connector_mask = {rare_mask}
where abs(hashtext(evse_id)) % 1000 = 0;

-- Nine EVSEs in ten are occupied, for as long as the world is kept.

update evse_status
set major = case when abs(hashtext('free ' || evse_id)) % 10 = 0 then 'AVAILABLE' else 'NOT_AVAILABLE' end,
    minor = case when abs(hashtext('free ' || evse_id)) % 10 = 0 then null else 'CHARGING' end,
    at = now(), updated_at = now(), expires_at = 'infinity';

-- An NSP with contracts with twenty operators, every other one of which is not open to everybody.

create temporary table claimed as
select no, party_id, nth, gen_random_uuid() as partner_id
from (
    select operator_no as no, row_number() over (order by count(*) desc, operator_no) as nth
    from evse group by operator_no
) as by_size
join operator using (no)
where nth between 3 and 22;

insert into partner (id, name) select partner_id, 'Operator ' || party_id from claimed;
insert into partner_role (partner_id, role, party_id) select partner_id, 'EVSE_OPERATOR', party_id from claimed;
update operator set role_id = partner_role.id, open = nth % 2 = 0
from claimed join partner_role using (partner_id)
where operator.no = claimed.no;

insert into partner (name) values ('{nsp}');
insert into partner_role (partner_id, role) select id, 'NSP' from partner where name = '{nsp}';
insert into contract (
    first_role_id, first_partner_id, second_role_id, second_partner_id, proposed_by_role_id, status,
    created_at, updated_at
)
select first.id, first.partner_id, nsp.id, nsp.partner_id, nsp.id, 'ACTIVE', now(), now()
from claimed
join partner_role as first using (partner_id)
join partner_role as nsp on nsp.role = 'NSP'
join partner on partner.id = nsp.partner_id and partner.name = '{nsp}';
