SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.evse_id = ANY ($2::TEXT[]) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.location_id = ANY ($2::TEXT[]) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($2::TEXT[])))) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.connector_mask & $2::BIGINT != 0 ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.connector_mask & $2::BIGINT != 0 ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.charge_point_type = ANY ($2::TEXT[]) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.maximum_power_kw
FROM (SELECT evse.maximum_power_kw AS maximum_power_kw, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.maximum_power_kw >= $2::FLOAT(53) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.maximum_power_kw
FROM (SELECT evse.maximum_power_kw AS maximum_power_kw, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.maximum_power_kw <= $2::FLOAT(53) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.auth_methods
FROM (SELECT evse.auth_methods AS auth_methods, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.auth_methods & $2::INTEGER != 0 ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.location_type
FROM (SELECT evse.location_type AS location_type, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.location_type = ANY ($2::TEXT[]) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.restrictions, found.distance_m
FROM (SELECT evse.restrictions AS restrictions, evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND evse.restrictions & $4::INTEGER = 0 AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $5::FLOAT(53), false) ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($6::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;
