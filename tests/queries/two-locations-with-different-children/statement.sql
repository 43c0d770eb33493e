SELECT found.evse_id, operator_1.party_id, found.location_id, location_1.location_name, found.location_name AS location_name_1, found.connector_standards, found.connector_formats, found.connector_tariff_ids, found.parking_ids, found.parking_numbers, found.parking_restrictions
FROM (SELECT evse.location_id AS location_id, evse.location_name AS location_name, evse.connector_standards AS connector_standards, evse.connector_formats AS connector_formats, evse.connector_tariff_ids AS connector_tariff_ids, evse.parking_ids AS parking_ids, evse.parking_numbers AS parking_numbers, evse.parking_restrictions AS parking_restrictions, evse.operator_no AS operator_no, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.location_id = ANY ($2::TEXT[]) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id ORDER BY found.evse_id
 LIMIT $3::BIGINT;
