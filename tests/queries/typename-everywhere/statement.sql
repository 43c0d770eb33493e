SELECT found.connector_standards, found.maximum_power_kw, found.opening_times, found.parking_ids, found.images, found.evse_id
FROM (SELECT evse.connector_standards AS connector_standards, evse.maximum_power_kw AS maximum_power_kw, evse.opening_times AS opening_times, evse.parking_ids AS parking_ids, evse.images AS images, evse.evse_id AS evse_id
FROM evse
WHERE true ORDER BY evse.evse_id
 LIMIT $1::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $1::BIGINT;

-- row-level security knows who is asking
SELECT (SELECT coalesce(json_agg(json_build_array(1) ORDER BY contract_party_1.id), '[]') AS coalesce_1
FROM (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1
WHERE contract_party_1.id IN (found.first_role_id, found.second_role_id)) AS anon_1, found.created_at, found.id
FROM (SELECT contract.first_role_id AS first_role_id, contract.second_role_id AS second_role_id, contract.created_at AS created_at, contract.id AS id
FROM contract
WHERE true ORDER BY contract.created_at, contract.id
 LIMIT $1::BIGINT) AS found ORDER BY found.created_at, found.id
 LIMIT $1::BIGINT;

SELECT contract_party_1.id, found.id AS id_1
FROM (SELECT audit_log.actor_role_id AS actor_role_id, audit_log.id AS id
FROM audit_log
WHERE true ORDER BY audit_log.id
 LIMIT $1::BIGINT) AS found LEFT OUTER JOIN (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1 ON found.actor_role_id = contract_party_1.id ORDER BY found.id
 LIMIT $1::BIGINT;
