SELECT found.location_id, (SELECT coalesce(json_agg(json_build_array(evse_1.evse_id) ORDER BY evse_1.evse_id), '[]') AS coalesce_1
FROM evse AS evse_1
WHERE evse_1.operator_no = found.operator_no AND evse_1.location_id = found.location_id) AS anon_1, (SELECT coalesce(json_agg(json_build_array(evse_2.evse_id, evse_2.maximum_power_kw) ORDER BY evse_2.evse_id), '[]') AS coalesce_2
FROM evse AS evse_2
WHERE evse_2.operator_no = found.operator_no AND evse_2.location_id = found.location_id AND evse_2.maximum_power_kw >= $1::FLOAT(53)) AS anon_2, found.operator_no
FROM (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no IN (SELECT anon_3
FROM visible_operators($2::INTEGER) AS anon_3), false) AND (EXISTS (SELECT *
FROM evse
WHERE evse.operator_no = location.operator_no AND evse.location_id = location.location_id AND evse.connector_mask & $3::BIGINT != 0 AND evse.maximum_power_kw >= $4::FLOAT(53))) ORDER BY location.operator_no, location.location_id
 LIMIT $5::BIGINT) AS found ORDER BY found.operator_no, found.location_id
 LIMIT $5::BIGINT;
