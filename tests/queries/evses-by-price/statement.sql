SELECT found.distance_m, found.evse_id, found.location_name_language, found.time_zone, found.connector_tariff_ids
FROM (SELECT evse.location_name_language AS location_name_language, evse.time_zone AS time_zone, evse.connector_tariff_ids AS connector_tariff_ids, evse.connector_standards AS connector_standards, evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $3::FLOAT(53), false) ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($4::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $4::BIGINT;

-- row-level security knows who is asking
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
FROM unnest($3::TEXT[]) AS named(tariff_id)) AND coalesce(offered_tariff.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false)) AS found ORDER BY found.tariff_id
 LIMIT $4::BIGINT;
