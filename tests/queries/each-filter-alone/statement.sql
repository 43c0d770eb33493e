SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = ANY ($2::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.location_id = ANY ($2::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($2::TEXT[])))) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.connector_mask & $2::BIGINT != 0 ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.connector_mask & $2::BIGINT != 0 ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.charge_point_type = ANY ($2::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.maximum_power_kw
FROM (SELECT shown_evse.maximum_power_kw AS maximum_power_kw, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.maximum_power_kw >= $2::FLOAT(53) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.maximum_power_kw
FROM (SELECT shown_evse.maximum_power_kw AS maximum_power_kw, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.maximum_power_kw <= $2::FLOAT(53) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.auth_methods
FROM (SELECT shown_evse.auth_methods AS auth_methods, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.auth_methods & $2::INTEGER != 0 ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.location_type
FROM (SELECT shown_evse.location_type AS location_type, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.location_type = ANY ($2::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.restrictions, found.distance_m
FROM (SELECT shown_evse.restrictions AS restrictions, shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.restrictions & $4::INTEGER = 0 AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $5::FLOAT(53), false) ORDER BY shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326))
 FETCH FIRST ($6::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;
