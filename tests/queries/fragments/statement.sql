SELECT found.evse_id, shown_location_1.location_name, found.latitude, found.longitude, found.charge_point_type, found.maximum_power_kw
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.latitude AS latitude, shown_evse.longitude AS longitude, shown_evse.charge_point_type AS charge_point_type, shown_evse.maximum_power_kw AS maximum_power_kw, shown_evse.operator_no AS operator_no, shown_evse.location_id AS location_id, shown_evse.ahead AS ahead
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found JOIN shown_location AS shown_location_1 ON found.operator_no = shown_location_1.operator_no AND found.location_id = shown_location_1.location_id AND found.ahead = shown_location_1.ahead;

SELECT found.evse_id, shown_location_1.location_name, found.latitude, found.longitude
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.latitude AS latitude, shown_evse.longitude AS longitude, shown_evse.operator_no AS operator_no, shown_evse.location_id AS location_id, shown_evse.ahead AS ahead
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found JOIN shown_location AS shown_location_1 ON found.operator_no = shown_location_1.operator_no AND found.location_id = shown_location_1.location_id AND found.ahead = shown_location_1.ahead;
