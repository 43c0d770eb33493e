-- row-level security knows who is asking
SELECT found.location_name_language, operator_1.party_id, found.location_id, (SELECT coalesce(json_agg(json_build_array(evse_1.evse_id, (SELECT coalesce(json_agg(json_build_array(offered_tariff_1.tariff_id, offered_tariff_1.content_hash, offered_tariff_1.currency, offered_tariff_1.elements) ORDER BY offered_tariff_1.tariff_id), '[]') AS coalesce_2
FROM (SELECT individual_tariff.tariff_id AS tariff_id, individual_tariff.number AS number, individual_tariff.operator_no AS operator_no, individual_tariff.currency AS currency, individual_tariff.elements AS elements, individual_tariff.content_hash AS content_hash
FROM individual_tariff) AS offered_tariff_1
WHERE (offered_tariff_1.tariff_id, offered_tariff_1.number) IN (SELECT named.tariff_id, coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = named.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_2
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_2)))), 0) AS coalesce_3
FROM (SELECT connector.tariff_id AS tariff_id
FROM unnest(evse_1.connector_tariff_ids, evse_1.connector_standards) AS connector(tariff_id, standard)
WHERE connector.tariff_id IS NOT NULL) AS named) AND coalesce(offered_tariff_1.operator_no = any(array((SELECT anon_3
FROM visible_operators($1::INTEGER) AS anon_3))), false)), evse_1.time_zone, evse_1.location_name_language) ORDER BY evse_1.evse_id), '[]') AS coalesce_1
FROM evse AS evse_1
WHERE evse_1.operator_no = found.operator_no AND evse_1.location_id = found.location_id) AS anon_1, found.operator_no, found.time_zone, array((SELECT DISTINCT named.tariff_id
FROM evse JOIN LATERAL (SELECT connector.tariff_id AS tariff_id
FROM unnest(evse.connector_tariff_ids, evse.connector_standards) AS connector(tariff_id, standard)
WHERE connector.tariff_id IS NOT NULL AND connector.standard = $3::VARCHAR) AS named ON true
WHERE evse.operator_no = found.operator_no AND evse.location_id = found.location_id AND evse.charge_point_type = ANY ($4::TEXT[]))) AS array_1
FROM (SELECT location.location_name_language AS location_name_language, location.time_zone AS time_zone, location.operator_no AS operator_no, location.location_id AS location_id
FROM location JOIN (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no IN (SELECT anon_4
FROM visible_operators($1::INTEGER) AS anon_4), false) AND (EXISTS (SELECT *
FROM evse
WHERE evse.operator_no = location.operator_no AND evse.location_id = location.location_id AND evse.charge_point_type = ANY ($4::TEXT[]))) AND location.latitude >= $5::FLOAT(53) AND location.latitude < $6::FLOAT(53) AND location.longitude >= $7::FLOAT(53) AND location.longitude < $8::FLOAT(53) AND (geometry(location.geog) && ST_MakeEnvelope($7::FLOAT(53), greatest($5::FLOAT(53), -90::float8), least($8::FLOAT(53), 180::float8), least($6::FLOAT(53), 90::float8), 4326)) ORDER BY location.operator_no, location.location_id
 LIMIT $9::BIGINT) AS page ON location.operator_no = page.operator_no AND location.location_id = page.location_id) AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.operator_no, found.location_id
 LIMIT $9::BIGINT;

SELECT found.tariff_id, found.content_hash, found.currency, found.elements
FROM (SELECT offered_tariff.content_hash AS content_hash, offered_tariff.currency AS currency, offered_tariff.elements AS elements, offered_tariff.tariff_id AS tariff_id
FROM (SELECT individual_tariff.tariff_id AS tariff_id, individual_tariff.number AS number, individual_tariff.operator_no AS operator_no, individual_tariff.currency AS currency, individual_tariff.elements AS elements, individual_tariff.content_hash AS content_hash
FROM individual_tariff) AS offered_tariff
WHERE (offered_tariff.tariff_id, offered_tariff.number) IN (SELECT named.tariff_id, coalesce((SELECT tariff_recipient.number
FROM tariff_recipient
WHERE tariff_recipient.tariff_id = named.tariff_id AND tariff_recipient.party_id = (SELECT partner_role.party_id
FROM partner_role
WHERE partner_role.id = tariff_provider($1::INTEGER, $2::VARCHAR)) AND tariff_recipient.operator_no = any(array((SELECT anon_1
FROM visible_subjects(tariff_provider($1::INTEGER, $2::VARCHAR), 'OPERATOR') AS anon_1)))), 0) AS coalesce_1
FROM unnest($3::TEXT[]) AS named(tariff_id)) AND coalesce(offered_tariff.operator_no = any(array((SELECT anon_2
FROM visible_operators($1::INTEGER) AS anon_2))), false)) AS found ORDER BY found.tariff_id
 LIMIT $4::BIGINT;
