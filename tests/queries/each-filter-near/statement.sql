WITH few AS materialized
(SELECT evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND evse.evse_id = ANY ($4::TEXT[]) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $5::FLOAT(53), false))
 SELECT found.distance_m, found.evse_id
FROM (SELECT few.evse_id AS evse_id, few.distance_m AS distance_m
FROM few ORDER BY few.distance_m, few.evse_id
 LIMIT $6::BIGINT) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;

WITH few AS materialized
(SELECT evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND evse.location_id = ANY ($4::TEXT[]) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $5::FLOAT(53), false))
 SELECT found.distance_m, found.evse_id
FROM (SELECT few.evse_id AS evse_id, few.distance_m AS distance_m
FROM few ORDER BY few.distance_m, few.evse_id
 LIMIT $6::BIGINT) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;

SELECT found.distance_m, found.evse_id
FROM (SELECT evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($4::TEXT[])))) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $5::FLOAT(53), false) ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($6::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;

SELECT found.distance_m, found.evse_id
FROM (SELECT evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND evse.maximum_power_kw >= $4::FLOAT(53) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $5::FLOAT(53), false) ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($6::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $6::BIGINT;
