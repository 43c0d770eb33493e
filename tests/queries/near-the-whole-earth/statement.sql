SELECT found.distance_m, found.evse_id
FROM (SELECT evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $3::FLOAT(53), false) ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($4::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $4::BIGINT;
