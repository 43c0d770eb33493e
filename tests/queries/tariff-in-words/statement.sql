-- row-level security knows who is asking
SELECT (SELECT coalesce(json_agg(json_build_array(individual_tariff_1.currency, individual_tariff_1.elements) ORDER BY individual_tariff_1.number), '[]') AS coalesce_1
FROM individual_tariff AS individual_tariff_1
WHERE individual_tariff_1.tariff_id = found.tariff_id AND individual_tariff_1.number >= (SELECT CASE WHEN (found.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN 0 ELSE coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = found.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_3
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_3)))), 0) END AS anon_2) AND individual_tariff_1.number <= (SELECT CASE WHEN (found.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN 2147483647 ELSE coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = found.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_3
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_3)))), 0) END AS anon_4) AND individual_tariff_1.number = 0) AS anon_1
FROM (SELECT tariff.tariff_id AS tariff_id, tariff.operator_no AS operator_no
FROM tariff
WHERE coalesce(tariff.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND tariff.tariff_id = $3::VARCHAR COLLATE "C") AS found;
