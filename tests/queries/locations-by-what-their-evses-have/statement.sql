SELECT found.location_id, (SELECT coalesce(json_agg(json_build_array(shown_evse_1.evse_id) ORDER BY shown_evse_1.evse_id), '[]') AS coalesce_1
FROM shown_evse AS shown_evse_1
WHERE shown_evse_1.operator_no = found.operator_no AND shown_evse_1.location_id = found.location_id AND shown_evse_1.ahead = found.ahead) AS anon_1, (SELECT coalesce(json_agg(json_build_array(shown_evse_2.evse_id, shown_evse_2.maximum_power_kw) ORDER BY shown_evse_2.evse_id), '[]') AS coalesce_2
FROM shown_evse AS shown_evse_2
WHERE shown_evse_2.operator_no = found.operator_no AND shown_evse_2.location_id = found.location_id AND shown_evse_2.ahead = found.ahead AND shown_evse_2.maximum_power_kw >= $1::FLOAT(53)) AS anon_2, found.operator_no
FROM (SELECT shown_location.ahead AS ahead, shown_location.operator_no AS operator_no, shown_location.location_id AS location_id
FROM shown_location
WHERE coalesce(shown_location.operator_no = any(array((SELECT anon_3
FROM visible_operators($2::INTEGER) AS anon_3))) AND shown_location.ahead = (shown_location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND (EXISTS (SELECT *
FROM shown_evse
WHERE shown_evse.operator_no = shown_location.operator_no AND shown_evse.location_id = shown_location.location_id AND shown_evse.ahead = shown_location.ahead AND shown_evse.connector_mask & $3::BIGINT != 0 AND shown_evse.maximum_power_kw >= $4::FLOAT(53))) ORDER BY shown_location.operator_no, shown_location.location_id
 LIMIT $5::BIGINT) AS found ORDER BY found.operator_no, found.location_id
 LIMIT $5::BIGINT;
