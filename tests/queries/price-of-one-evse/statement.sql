-- row-level security knows who is asking
SELECT (SELECT coalesce(json_agg(json_build_array(offered_tariff_1.tariff_id, offered_tariff_1.content_hash, offered_tariff_1.currency, offered_tariff_1.elements) ORDER BY offered_tariff_1.tariff_id), '[]') AS coalesce_1
FROM (SELECT individual_tariff.tariff_id AS tariff_id, individual_tariff.number AS number, individual_tariff.operator_no AS operator_no, individual_tariff.currency AS currency, individual_tariff.elements AS elements, individual_tariff.content_hash AS content_hash
FROM individual_tariff) AS offered_tariff_1
WHERE (offered_tariff_1.tariff_id, offered_tariff_1.number) IN (SELECT named.tariff_id, coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = named.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_2
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_2)))), 0) AS coalesce_2
FROM (SELECT connector.tariff_id AS tariff_id
FROM unnest(found.connector_tariff_ids, found.connector_standards) AS connector(tariff_id, standard)
WHERE connector.tariff_id IS NOT NULL) AS named) AND coalesce(offered_tariff_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false)) AS anon_1, found.time_zone, found.location_name_language, (SELECT coalesce(json_agg(json_build_array(offered_tariff_2.tariff_id, offered_tariff_2.content_hash, offered_tariff_2.currency, offered_tariff_2.elements) ORDER BY offered_tariff_2.tariff_id), '[]') AS coalesce_3
FROM (SELECT individual_tariff.tariff_id AS tariff_id, individual_tariff.number AS number, individual_tariff.operator_no AS operator_no, individual_tariff.currency AS currency, individual_tariff.elements AS elements, individual_tariff.content_hash AS content_hash
FROM individual_tariff) AS offered_tariff_2
WHERE (offered_tariff_2.tariff_id, offered_tariff_2.number) IN (SELECT named.tariff_id, coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = named.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $3::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_4
FROM visible_subjects(tariff_provider($1::INTEGER, $3::VARCHAR), 'OPERATOR') AS anon_4)))), 0) AS coalesce_4
FROM (SELECT connector.tariff_id AS tariff_id
FROM unnest(found.connector_tariff_ids, found.connector_standards) AS connector(tariff_id, standard)
WHERE connector.tariff_id IS NOT NULL AND connector.standard = $4::VARCHAR) AS named) AND coalesce(offered_tariff_2.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false)) AS anon_3
FROM (SELECT evse.time_zone AS time_zone, evse.location_name_language AS location_name_language, evse.connector_tariff_ids AS connector_tariff_ids, evse.connector_standards AS connector_standards
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND evse.evse_id = $5::VARCHAR COLLATE "C") AS found;
