SELECT found.evse_id, location_1.location_name, found.city, found.country, operator_1.name, found.connector_standards, found.connector_formats, operator_1.party_id
FROM (SELECT evse.city AS city, evse.country AS country, evse.connector_standards AS connector_standards, evse.connector_formats AS connector_formats, evse.operator_no AS operator_no, evse.location_id AS location_id, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) ORDER BY evse.evse_id
 LIMIT $2::BIGINT) AS found JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.evse_id
 LIMIT $2::BIGINT;
