SELECT found.evse_id, operator_1.party_id, found.location_type, found.charge_point_type, found.maximum_power_kw, found.restrictions, found.auth_methods, found.connector_standards, found.connector_formats, found.distance_m
FROM (SELECT shown_evse.location_type AS location_type, shown_evse.charge_point_type AS charge_point_type, shown_evse.maximum_power_kw AS maximum_power_kw, shown_evse.restrictions AS restrictions, shown_evse.auth_methods AS auth_methods, shown_evse.connector_standards AS connector_standards, shown_evse.connector_formats AS connector_formats, shown_evse.operator_no AS operator_no, shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.auth_methods & $4::INTEGER != 0 AND shown_evse.charge_point_type = ANY ($5::TEXT[]) AND shown_evse.connector_mask & $6::BIGINT != 0 AND shown_evse.location_type = ANY ($7::TEXT[]) AND shown_evse.maximum_power_kw <= $8::FLOAT(53) AND shown_evse.maximum_power_kw >= $9::FLOAT(53) AND shown_evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($10::TEXT[])))) AND shown_evse.restrictions & $11::INTEGER = 0 AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $12::FLOAT(53), false) ORDER BY shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326))
 FETCH FIRST ($13::BIGINT) ROWS WITH TIES) AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.distance_m, found.evse_id
 LIMIT $13::BIGINT;
