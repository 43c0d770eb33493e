SELECT found.evse_id, shown_location_1.location_name, found.charge_point_type
FROM (SELECT shown_evse.charge_point_type AS charge_point_type, shown_evse.operator_no AS operator_no, shown_evse.location_id AS location_id, shown_evse.ahead AS ahead, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found JOIN shown_location AS shown_location_1 ON found.operator_no = shown_location_1.operator_no AND found.location_id = shown_location_1.location_id AND found.ahead = shown_location_1.ahead ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;
