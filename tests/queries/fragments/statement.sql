SELECT found.evse_id, location_1.location_name, found.latitude, found.longitude, found.charge_point_type, found.maximum_power_kw
FROM (SELECT evse.evse_id AS evse_id, evse.latitude AS latitude, evse.longitude AS longitude, evse.charge_point_type AS charge_point_type, evse.maximum_power_kw AS maximum_power_kw, evse.operator_no AS operator_no, evse.location_id AS location_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id;

SELECT found.evse_id, location_1.location_name, found.latitude, found.longitude
FROM (SELECT evse.evse_id AS evse_id, evse.latitude AS latitude, evse.longitude AS longitude, evse.operator_no AS operator_no, evse.location_id AS location_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id;
