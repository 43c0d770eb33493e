SELECT found.evse_id, found.connector_standards
FROM (SELECT evse.evse_id AS evse_id, evse.connector_standards AS connector_standards
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) ORDER BY evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.role
FROM (SELECT partner_role.role AS role
FROM partner_role
WHERE partner_role.partner_id = $1::UUID AND partner_role.id = $2::INTEGER) AS found;

-- row-level security knows who is asking
SELECT found.status, found.created_at, found.id
FROM (SELECT contract.status AS status, contract.created_at AS created_at, contract.id AS id
FROM contract
WHERE contract.first_partner_id = $1::UUID OR contract.second_partner_id = $1::UUID ORDER BY contract.created_at, contract.id
 LIMIT $2::BIGINT) AS found ORDER BY found.created_at, found.id
 LIMIT $2::BIGINT;
