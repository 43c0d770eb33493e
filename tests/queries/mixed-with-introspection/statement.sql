SELECT found.distance_m, found.evse_id, found.connector_standards
FROM (SELECT evse.connector_standards AS connector_standards, evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $4::FLOAT(53), false) ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($5::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $5::BIGINT;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

-- row-level security knows who is asking
SELECT found.role, partner_1.name, (SELECT coalesce(json_agg(json_build_array(contract_1.status) ORDER BY contract_1.created_at, contract_1.id), '[]') AS coalesce_1
FROM contract AS contract_1
WHERE (contract_1.first_role_id = found.id OR contract_1.second_role_id = found.id) AND contract_1.status = $1::VARCHAR AND (contract_1.valid_from IS NULL OR contract_1.valid_from <= now()) AND (contract_1.valid_until IS NULL OR contract_1.valid_until > now()) AND NOT (EXISTS (SELECT partner_2.id
FROM partner AS partner_2
WHERE partner_2.id IN (contract_1.first_partner_id, contract_1.second_partner_id) AND partner_2.suspended_at IS NOT NULL)) AND (contract_1.first_partner_id = $2::UUID OR contract_1.second_partner_id = $2::UUID)) AS anon_1
FROM (SELECT partner_role.role AS role, partner_role.partner_id AS partner_id, partner_role.id AS id
FROM partner_role
WHERE partner_role.partner_id = $2::UUID AND partner_role.id = $3::INTEGER) AS found JOIN partner AS partner_1 ON found.partner_id = partner_1.id;
