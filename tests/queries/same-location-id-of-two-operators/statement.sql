SELECT found.evse_id, found.location_id, location_1.location_name, operator_1.party_id, operator_1.name, found.latitude
FROM (SELECT evse.location_id AS location_id, evse.latitude AS latitude, evse.operator_no AS operator_no, evse.evse_id AS evse_id
FROM evse
WHERE evse.location_id = ANY ($1::TEXT[]) ORDER BY evse.evse_id
 LIMIT $2::BIGINT) AS found JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.evse_id
 LIMIT $2::BIGINT;
