-- row-level security knows who is asking
SELECT found.tariff_id, CASE WHEN (found.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN found.updated_at ELSE coalesce((SELECT tariff_recipient.updated_at
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = found.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_2
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_2)))), found.default_updated_at) END AS anon_1, (SELECT coalesce(json_agg(json_build_array(individual_tariff_1.currency, CASE WHEN (individual_tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN array((SELECT tariff_recipient.party_id
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = individual_tariff_1.tariff_id AND tariff_recipient.number = individual_tariff_1.number AND tariff_recipient.number != 0 ORDER BY tariff_recipient.party_id)) END, individual_tariff_1.elements) ORDER BY individual_tariff_1.number), '[]') AS coalesce_1
FROM individual_tariff AS individual_tariff_1
WHERE individual_tariff_1.tariff_id = found.tariff_id AND individual_tariff_1.number >= (SELECT CASE WHEN (found.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN 0 ELSE coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = found.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_5
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_5)))), 0) END AS anon_4) AND individual_tariff_1.number <= (SELECT CASE WHEN (found.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER)))) THEN 2147483647 ELSE coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = found.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_5
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_5)))), 0) END AS anon_6) AND (individual_tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.role_id = $1::INTEGER))) OR individual_tariff_1.number = coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = individual_tariff_1.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_7
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_7)))), 0))) AS anon_3
FROM (SELECT tariff.tariff_id AS tariff_id, tariff.operator_no AS operator_no, tariff.updated_at AS updated_at, tariff.default_updated_at AS default_updated_at
FROM tariff
WHERE coalesce(tariff.operator_no = any(array((SELECT anon_8
FROM visible_operators($1::INTEGER) AS anon_8))), false) AND tariff.tariff_id = $3::VARCHAR COLLATE "C") AS found;
