WITH few AS materialized
(SELECT shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = ANY ($4::TEXT[]) AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $5::FLOAT(53), false))
 SELECT found.distance_m, found.evse_id
FROM (SELECT few.evse_id AS evse_id, few.distance_m AS distance_m
FROM few ORDER BY few.distance_m, few.evse_id
 LIMIT $6::BIGINT) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;

WITH few AS materialized
(SELECT shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.location_id = ANY ($4::TEXT[]) AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $5::FLOAT(53), false))
 SELECT found.distance_m, found.evse_id
FROM (SELECT few.evse_id AS evse_id, few.distance_m AS distance_m
FROM few ORDER BY few.distance_m, few.evse_id
 LIMIT $6::BIGINT) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;

SELECT found.distance_m, found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($4::TEXT[])))) AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $5::FLOAT(53), false) ORDER BY shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326))
 FETCH FIRST ($6::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;

SELECT found.distance_m, found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.maximum_power_kw >= $4::FLOAT(53) AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $5::FLOAT(53), false) ORDER BY shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326))
 FETCH FIRST ($6::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;
