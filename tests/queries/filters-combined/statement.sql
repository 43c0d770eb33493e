SELECT found.evse_id, operator_1.party_id, found.location_type, found.charge_point_type, found.maximum_power_kw, found.restrictions, found.auth_methods, found.connector_standards, found.connector_formats, found.distance_m
FROM (SELECT evse.location_type AS location_type, evse.charge_point_type AS charge_point_type, evse.maximum_power_kw AS maximum_power_kw, evse.restrictions AS restrictions, evse.auth_methods AS auth_methods, evse.connector_standards AS connector_standards, evse.connector_formats AS connector_formats, evse.operator_no AS operator_no, evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND evse.auth_methods & $4::INTEGER != 0 AND evse.charge_point_type = ANY ($5::TEXT[]) AND evse.connector_mask & $6::BIGINT != 0 AND evse.location_type = ANY ($7::TEXT[]) AND evse.maximum_power_kw <= $8::FLOAT(53) AND evse.maximum_power_kw >= $9::FLOAT(53) AND evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($10::TEXT[])))) AND evse.restrictions & $11::INTEGER = 0 AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $12::FLOAT(53), false) ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($13::BIGINT) ROWS WITH TIES) AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.distance_m, found.evse_id
 LIMIT $13::BIGINT;
