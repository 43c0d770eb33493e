SELECT found.evse_id, location_1.location_name, found.charge_point_type
FROM (SELECT evse.charge_point_type AS charge_point_type, evse.operator_no AS operator_no, evse.location_id AS location_id, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) ORDER BY evse.evse_id
 LIMIT $2::BIGINT) AS found JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;
