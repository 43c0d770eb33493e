-- row-level security knows who is asking
SELECT found.evse_id, (SELECT coalesce(json_agg(json_build_array(tariff_1.tariff_id, replace(to_char(timezone('UTC', CASE WHEN (tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN tariff_1.updated_at ELSE coalesce((SELECT tariff_recipient.updated_at
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = tariff_1.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_2
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_2)))), tariff_1.default_updated_at) END), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), (SELECT coalesce(json_agg(json_build_array(CASE WHEN (individual_tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN array((SELECT tariff_recipient.party_id
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = individual_tariff_1.tariff_id AND tariff_recipient.number = individual_tariff_1.number AND tariff_recipient.number != 0 ORDER BY tariff_recipient.party_id)) END, individual_tariff_1.elements) ORDER BY individual_tariff_1.number), '[]') AS coalesce_2
FROM individual_tariff AS individual_tariff_1
WHERE individual_tariff_1.tariff_id = tariff_1.tariff_id AND individual_tariff_1.number >= (SELECT CASE WHEN (tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN 0 ELSE coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = tariff_1.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_4
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_4)))), 0) END AS anon_3) AND individual_tariff_1.number <= (SELECT CASE WHEN (tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN 2147483647 ELSE coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = tariff_1.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_4
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_4)))), 0) END AS anon_5) AND (individual_tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER))) OR individual_tariff_1.number = coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = individual_tariff_1.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_6
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_6)))), 0)))) ORDER BY tariff_1.tariff_id), '[]') AS coalesce_1
FROM tariff AS tariff_1
WHERE tariff_1.tariff_id = ANY (found.connector_tariff_ids) AND coalesce(tariff_1.operator_no = any(array((SELECT anon_7
FROM visible_operators($1::INTEGER) AS anon_7))), false)) AS anon_1, found.connector_tariff_ids, found.connector_standards
FROM (SELECT evse.connector_tariff_ids AS connector_tariff_ids, evse.connector_standards AS connector_standards, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_8
FROM visible_operators($1::INTEGER) AS anon_8), false) AND evse.evse_id = ANY ($3::TEXT[]) ORDER BY evse.evse_id
 LIMIT $4::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $4::BIGINT;
